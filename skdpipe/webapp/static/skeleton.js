// Skeletons at any time, and how they are drawn: as in the videos of `skdpipe predict --overlay`.

import { rgb } from "./dom.js";

const SAMPLED = 2.0; // longest time between two frames that is bridged, in seconds

// The people at a time: [number, [x, y, ...]], between the frames in which they were detected.
export function peopleAt(poses, seconds) {
  const frames = poses.frames;
  const after = frames.findLastIndex((frame) => frame[0] <= seconds + 1e-4) + 1;
  const before = frames[after - 1], next = frames[after];
  if (!before || !next || next[0] - before[0] > SAMPLED) {
    const nearest = !before || (next && next[0] - seconds < seconds - before[0]) ? next : before;
    return nearest && Math.abs(nearest[0] - seconds) <= SAMPLED / 2 ? peopleOf(nearest) : [];
  }
  const share = (seconds - before[0]) / (next[0] - before[0]);
  const others = new Map(peopleOf(next));
  const nearer = new Set((share < 0.5 ? before : next)[1]);
  const found = peopleOf(before).map(([number, pose]) =>
    [number, others.has(number) ? between(pose, others.get(number), share) : pose]);
  const known = new Set(before[1]);
  found.push(...[...others].filter(([number]) => !known.has(number)));
  return found.filter(([number]) => nearer.has(number) || (known.has(number) && others.has(number)));
}

function peopleOf(frame) {
  return frame[1].map((number, index) => [number, frame[2][index]]);
}

function between(one, other, share) {
  return one.map((value, index) => {
    const later = other[index];
    if (value === null || later === null) return share < 0.5 ? value : later;
    return value + (later - value) * share;
  });
}

export function colourOf(colours, number) {
  return colours[number % colours.length];
}

// Draw people on a canvas whose pixels are `scale` times those of the poses. The label is beside the number.
export function drawPeople(context, poses, people, colours, scale, labelOf = () => "") {
  const { width, height } = context.canvas;
  const stroke = Math.max(2, Math.min(width, height) / 160);
  for (const [number, pose] of people) {
    drawPose(context, poses, pose, rgb(colourOf(colours, number)), scale, stroke);
  }
  const taken = [];
  for (const [number, pose] of people) {
    drawTag(context, pose, [number, labelOf(number)].join(" ").trim(), colourOf(colours, number), scale, taken);
  }
}

function drawPose(context, poses, pose, colour, scale, stroke) {
  const place = (joint) => [(pose[2 * joint] + 0.5) * scale, (pose[2 * joint + 1] + 0.5) * scale];
  const isSeen = (joint) => pose[2 * joint] !== null;
  const bones = poses.bones.filter(([a, b]) => isSeen(a) && isSeen(b));
  context.lineCap = "round";
  for (const [ink, width] of [["#000", stroke + 2], [colour, stroke]]) {
    context.strokeStyle = ink;
    context.lineWidth = width;
    context.beginPath();
    for (const [a, b] of bones) {
      context.moveTo(...place(a));
      context.lineTo(...place(b));
    }
    context.stroke();
  }
  poses.sides.forEach((side, joint) => {
    if (!isSeen(joint)) return;
    context.beginPath();
    context.arc(...place(joint), stroke, 0, 2 * Math.PI);
    context.fillStyle = { left: "#fff", right: "#000" }[side] ?? colour;
    context.strokeStyle = side === "right" ? "#fff" : "#000";
    context.lineWidth = 1;
    context.fill();
    context.stroke();
  });
}

// A tag above a person, or the first free place above that.
function drawTag(context, pose, text, colour, scale, taken) {
  const { width, height } = context.canvas;
  const size = Math.max(12 * devicePixelRatio, Math.min(width, height) / 24);
  const xs = pose.filter((value, index) => index % 2 === 0 && value !== null);
  const ys = pose.filter((value, index) => index % 2 === 1 && value !== null);
  if (!xs.length) return;
  context.font = `600 ${size}px system-ui, sans-serif`;
  const room = context.measureText(text).width + size * 0.6;
  const left = Math.max(0, Math.min(width - room, Math.min(...xs) * scale));
  let top = Math.max(0, Math.min(height - size * 1.3, Math.min(...ys) * scale - size * 1.9));
  const overlaps = (other) => left < other.left + other.room && other.left < left + room && Math.abs(other.top - top) < size * 1.3;
  while (top > 0 && taken.some(overlaps)) top = Math.max(0, top - size * 0.65);
  taken.push({ left, top, room });
  context.fillStyle = rgb(colour);
  context.fillRect(left, top, room, size * 1.3);
  context.fillStyle = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2] > 110 ? "#000" : "#fff";
  context.textBaseline = "middle";
  context.fillText(text, left + size * 0.3, top + size * 0.68);
}
