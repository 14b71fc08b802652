// Requests to the server. A refusal has one line of text.

const MARK = "X-Skdpipe"; // another site cannot send it
const SILENT = "skdpipe does not answer; start `skdpipe app` again and load the page again";

export async function request(method, path, { body, signal, keepalive } = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, body, signal, keepalive, headers: { [MARK]: "1", ...(typeof body === "string" ? { "Content-Type": "application/json" } : {}) } });
  } catch (error) {
    throw error.name === "AbortError" ? error : new Error(SILENT);
  }
  return contentOf(answer.status, await answer.text());
}

export function get(path, options) {
  return request("GET", path, options);
}

export function upload(path, file, { onprogress, signal }) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest();
    sending.open("POST", path);
    sending.setRequestHeader(MARK, "1");
    sending.upload.addEventListener("progress", (event) => onprogress(event.loaded, event.total));
    sending.addEventListener("error", () => reject(new Error(SILENT)));
    sending.addEventListener("abort", () => reject(signal.reason));
    sending.addEventListener("load", () => {
      try {
        resolve(contentOf(sending.status, sending.responseText));
      } catch (error) {
        reject(error);
      }
    });
    signal.addEventListener("abort", () => sending.abort());
    if (signal.aborted) reject(signal.reason);
    else sending.send(file);
  });
}

// Wait for a job; an abort of the signal cancels it.
export async function follow(job, { onprogress, signal }) {
  const path = `/api/jobs/${encodeURIComponent(job)}`;
  try {
    for (let wait = 100; ; wait = Math.min(500, wait * 1.3)) {
      const found = await get(path, { signal });
      if (found.state === "done") return found.result;
      if (found.state === "cancelled") throw new DOMException("cancelled", "AbortError");
      if (found.state === "failed") throw new Error(found.error);
      onprogress(found);
      await pause(wait, signal);
    }
  } catch (error) {
    if (error.name === "AbortError") request("DELETE", path).catch(() => {});
    throw error;
  }
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}

function contentOf(status, text) {
  let content = null;
  try {
    content = text ? JSON.parse(text) : null;
  } catch {
    content = { error: `the server answers with something else than data (status ${status})` };
  }
  if (status < 200 || status > 299) throw new Error(content?.error ?? `the server refuses (status ${status})`);
  return content;
}
