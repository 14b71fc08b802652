"""The derivative of a network along a direction, from what the network computed anyway.

PyTorch's forward mode computes a network once more beside its derivative, would update batch-norm
statistics once more and draw other dropout masks. A tape keeps the operations of the one forward pass, with
what went in and came out; the derivative along a direction of the parameters is then pushed from operation
to operation (tangents, a Jacobian-vector product). Nothing is computed twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, NamedTuple

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map_only

aten = torch.ops.aten


class _Step(NamedTuple):
    """An operation that was carried out."""

    operation: Any
    arguments: tuple[Any, ...]
    options: dict[str, Any]
    result: Any


class Tape(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down every operation of a ``with`` block, as long as gradients are recorded as well.

    Operations without gradient (a teacher's) are not kept. In-place operations, random numbers and custom
    autograd functions must not lie between the parameters and what :meth:`derivative` is asked for;
    dropout and batch normalisation may. What is detached on the way counts as if it were not.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._steps: list[_Step] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        options = kwargs or {}
        result = func(*args, **options)
        if torch.is_grad_enabled():
            self._steps.append(_Step(func, args, options, result))
        return result

    def derivative(self, direction: Mapping[Tensor, Tensor], wanted: Sequence[Tensor]) -> list[Tensor]:
        """How fast results change when parameters move.

        Args:
            direction: for each parameter how it moves.
            wanted: results of the block.

        Returns:
            For each of them its derivative along the direction, of its shape and dtype.

        Raises:
            NotImplementedError: if an operation on the way has no derivative here.
        """
        tangents = {_name(parameter): tangent for parameter, tangent in direction.items()}
        results = [_name(each) for each in wanted]
        missing = set(results)
        reads = [[_name(each) for each in _tensors_in(step.arguments)] for step in self._steps]
        last = {name: number for number, names in enumerate(reads) for name in names}
        last |= dict.fromkeys(results, len(reads))
        with torch.no_grad():
            for number, (step, names) in enumerate(zip(self._steps, reads, strict=True)):
                if not missing:
                    break
                if any(name in tangents for name in names):
                    _push(step, tangents)
                for name in names:  # memory that is free at once is still in the processor's caches
                    if last[name] == number:
                        tangents.pop(name, None)
                missing -= {_name(each) for each in _tensors(step.result) if isinstance(each, Tensor)}
        return [
            tangents[name] if name in tangents else torch.zeros_like(each)
            for name, each in zip(results, wanted, strict=True)
        ]


def unrecorded() -> AbstractContextManager[object]:
    """Within, no tape listens, and operations cost no more than without one."""
    return _disable_current_modes()


_Name = tuple[int, torch.Size, tuple[int, ...]]
_Tangents = dict[_Name, Tensor]


def _name(tensor: Tensor) -> _Name:
    """Which values a tensor holds: two views of the same memory are the same."""
    return tensor.data_ptr(), tensor.shape, tensor.stride()


def _push(step: _Step, tangents: _Tangents) -> None:
    """Note the tangent of an operation's result, if it has one; something that went in moves."""
    operation = step.operation.overloadpacket
    if operation in _LINEAR:
        result = _push_linear(step, tangents)
    elif operation in _RULES:
        result = _RULES[operation](step, tangents)
    else:
        result = _push_by_forward_mode(step, tangents)
    for value, tangent in zip(_tensors(step.result), _tensors(result), strict=False):
        if tangent is not None:
            tangents[_name(value)] = tangent


def _tensors_in(arguments: Sequence[Any]) -> Iterator[Tensor]:
    for each in arguments:
        if isinstance(each, Tensor):
            yield each
        elif isinstance(each, list):
            yield from _tensors_in(each)


def _tensors(result: Any) -> Sequence[Any]:
    return result if isinstance(result, tuple | list) else (result,)


# Linear in their first argument, the only one with a derivative.
_LINEAR: Final = {
    aten.view,
    aten.detach,
    aten._unsafe_view,
    aten.alias,
    aten.permute,
    aten.transpose,
    aten.t,
    aten.expand,
    aten.unsqueeze,
    aten.squeeze,
    aten.slice,
    aten.select,
    aten.split,
    aten.split_with_sizes,
    aten.unbind,
    aten.index,
    aten.index_select,
    aten.clone,
    aten._to_copy,
    aten.mean,
    aten.sum,
    aten.neg,
    aten.constant_pad_nd,
    aten.avg_pool2d,
}


def _push_linear(step: _Step, tangents: _Tangents) -> Any:
    first, *rest = step.arguments
    return step.operation(tangents[_name(first)], *rest, **step.options)


def _push_by_forward_mode(step: _Step, tangents: _Tangents) -> Any:
    """By PyTorch's own rule for this one operation, which computes it once more."""
    schema = step.operation._schema
    if schema.is_mutable or torch.Tag.nondeterministic_seeded in step.operation.tags:
        raise NotImplementedError(
            f"{schema.name} between parameters and result; expected no in-place and no random operation"
        )

    def dual(value: Tensor) -> Tensor:
        tangent = tangents.get(_name(value))
        return value if tangent is None else forward_ad.make_dual(value.detach(), tangent)  # type: ignore[no-untyped-call]

    with forward_ad.dual_level():
        arguments, options = tree_map_only(Tensor, dual, (step.arguments, step.options))
        result = step.operation(*arguments, **options)
        return [
            forward_ad.unpack_dual(each).tangent if isinstance(each, Tensor) else None  # type: ignore[no-untyped-call]
            for each in _tensors(result)
        ]


def _push_product(step: _Step, tangents: _Tangents) -> Any:
    """``d(xy) = dx y + x dy``."""
    x, y = step.arguments
    dx, dy = (tangents.get(_name(each)) if isinstance(each, Tensor) else None for each in (x, y))
    if dx is None:
        return step.operation(x, dy)
    of_x = step.operation(dx, y)
    return of_x if dy is None else _ADD_PRODUCT[step.operation.overloadpacket](of_x, x, dy)


def _push_quotient(step: _Step, tangents: _Tangents) -> Any:
    """``d(x/y) = (dx - x/y dy) / y``."""
    if step.options:  # rounded
        return _push_by_forward_mode(step, tangents)
    x, y = step.arguments
    dx, dy = (tangents.get(_name(each)) if isinstance(each, Tensor) else None for each in (x, y))
    if dy is None:
        return step.operation(dx, y)
    of_y = step.result * dy
    return step.operation(of_y.neg_() if dx is None else dx - of_y, y)


# Of a result and two factors; in place.
_ADD_PRODUCT: Final[dict[Any, Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    aten.mm: Tensor.addmm_,
    aten.bmm: Tensor.baddbmm_,
    aten.mul: Tensor.addcmul_,
}


def _push_convolution(step: _Step, tangents: _Tangents) -> Any:
    """``d(w * x + b) = w * dx + dw * x + db``."""
    x, weight, bias, *how = step.arguments
    dx, dweight = tangents.get(_name(x)), tangents.get(_name(weight))
    dbias = tangents.get(_name(bias)) if bias is not None else None
    if dx is None and dweight is None:
        assert dbias is not None
        return dbias.view(1, -1, *(1,) * (x.dim() - 2)).expand_as(step.result)
    of_x = (
        step.operation(dx, weight, None if dweight is not None else dbias, *how) if dx is not None else None
    )
    of_weight = step.operation(x, dweight, dbias, *how) if dweight is not None else None
    return _sum(of_x, of_weight)


def _push_affine(step: _Step, tangents: _Tangents) -> Any:
    """``d(b + xy) = db + dx y + x dy``."""
    assert not step.options
    b, x, y = step.arguments
    products = [
        (tangents[_name(x)], y) if _name(x) in tangents else None,
        (x, tangents[_name(y)]) if _name(y) in tangents else None,
    ]
    result = tangents.get(_name(b))
    for product in products:
        if product is not None:
            result = step.operation(result, *product) if result is not None else torch.matmul(*product)
    assert result is not None
    return result


def _push_sum(step: _Step, tangents: _Tangents) -> Any:
    """``d(x ± y) = dx ± dy``."""
    dx, dy = (tangents.get(_name(each)) if isinstance(each, Tensor) else None for each in step.arguments[:2])
    if dx is not None and dy is not None:
        return step.operation(dx, dy, *step.arguments[2:], **step.options)
    if dy is None:
        assert dx is not None
        return dx.expand(step.result.shape)
    return step.operation(torch.zeros_like(dy), dy, *step.arguments[2:], **step.options).expand(
        step.result.shape
    )


def _push_joined(step: _Step, tangents: _Tangents) -> Any:
    parts = [tangents.get(_name(part), torch.zeros_like(part)) for part in step.arguments[0]]
    return step.operation(parts, *step.arguments[1:], **step.options)


def _push_put(step: _Step, tangents: _Tangents) -> Any:
    x, index, values, *accumulate = step.arguments
    dx, dvalues = (tangents.get(_name(each), torch.zeros_like(each)) for each in (x, values))
    return step.operation(dx, index, dvalues, *accumulate, **step.options)


def _push_reversed_difference(step: _Step, tangents: _Tangents) -> Any:
    """``d(a - x) = -dx``."""
    x, a, *_ = step.arguments
    if isinstance(a, Tensor):
        return _push_by_forward_mode(step, tangents)
    return step.operation(tangents[_name(x)], 0, *step.arguments[2:])


def _push_by_backward(step: _Step, tangents: _Tangents) -> Tensor:
    """Operations whose matrix of derivatives is its own transpose: the backward kernel does it."""
    x, *how = step.arguments
    return _OWN_TRANSPOSE[step.operation.overloadpacket](tangents[_name(x)], step.result, *how)


# From the gradient (here the tangent), the result, and the arguments but the first.
_OWN_TRANSPOSE: Final[dict[Any, Callable[..., Tensor]]] = {
    aten.relu: lambda dx, y: aten.threshold_backward.default(dx, y, 0),
    aten.tanh: lambda dx, y: aten.tanh_backward.default(dx, y),
    aten.sigmoid: lambda dx, y: aten.sigmoid_backward.default(dx, y),
    aten.elu: lambda dx, y, *scales: aten.elu_backward.default(dx, *(*scales, 1, 1, 1)[:3], True, y),
    aten._softmax: lambda dx, y, dim, _: aten._softmax_backward_data.default(dx, y, dim, dx.dtype),
}


def _push_max_pool(step: _Step, tangents: _Tangents) -> tuple[Tensor, None]:
    """The rate of the value that was the largest; channels come last, as they do in memory."""
    dx, chosen = (each.movedim(-3, -1) for each in (tangents[_name(step.arguments[0])], step.result[1]))
    rates = dx.flatten(-3, -2).gather(-2, chosen.flatten(-3, -2))
    return rates.view(chosen.shape).movedim(-1, -3), None


def _push_constant(step: _Step, tangents: _Tangents) -> tuple[None]:
    """The result stands still, at least piecewise, and so does every index that is made of it."""
    return (None,)


def _push_dropout(step: _Step, tangents: _Tangents) -> tuple[Tensor, None]:
    x, share, *_ = step.arguments
    mask = step.result[1]
    return aten.native_dropout_backward.default(
        tangents[_name(x)], mask, 1 / (1 - share) if share < 1 else 0
    ), None


def _push_batch_norm(step: _Step, tangents: _Tangents) -> tuple[Tensor]:
    """``dy = w/σ (dx - mean(dx) - x^ mean(x^ dx)) + x^ dw + db`` with ``x^ = (x - μ)/σ``.

    The two means, in training alone, are what the backward kernel has as gradients of weight and bias. The
    rest is ``a dx + b x + c`` with a number each for each channel.
    """
    x, weight, bias, running_mean, running_var, training, _, eps = step.arguments
    _, mean, inverse = step.result[:3]
    if not training:
        mean, inverse = running_mean, (running_var + eps).rsqrt()
    dx, dweight, dbias = (
        tangents.get(_name(each)) if each is not None else None for each in (x, weight, bias)
    )
    of_dx = inverse * weight if weight is not None else inverse
    of_normalised = dweight if dweight is not None else torch.zeros_like(inverse)
    shift = dbias if dbias is not None else torch.zeros_like(inverse)
    if training and dx is not None:
        _, products, sums = aten.native_batch_norm_backward.default(
            dx, x, weight, running_mean, running_var, *step.result[1:3], training, eps, [False, True, True]
        )
        values = x.numel() // x.shape[1]
        of_normalised = of_normalised - of_dx * products / values
        shift = shift - of_dx * sums / values
    of_x = inverse * of_normalised

    def for_each_channel(numbers: Tensor) -> Tensor:
        return numbers.view(1, -1, *(1,) * (x.dim() - 2)).to(x.dtype)

    dy = torch.addcmul(for_each_channel(shift - mean * of_x), x, for_each_channel(of_x))
    return (dy if dx is None else dy.addcmul_(dx, for_each_channel(of_dx)),)


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor:
    """The sum of what there is; ``a`` is overwritten."""
    if a is None:
        assert b is not None
        return b
    return a if b is None else a.add_(b)


_RULES: Final[dict[Any, Callable[[_Step, _Tangents], Any]]] = {
    aten.mm: _push_product,
    aten.bmm: _push_product,
    aten.mul: _push_product,
    aten.div: _push_quotient,
    aten.addmm: _push_affine,
    aten.baddbmm: _push_affine,
    aten.convolution: _push_convolution,
    aten.add: _push_sum,
    aten.sub: _push_sum,
    aten.rsub: _push_reversed_difference,
    aten.cat: _push_joined,
    aten.stack: _push_joined,
    aten.index_put: _push_put,
    **dict.fromkeys(_OWN_TRANSPOSE, _push_by_backward),
    aten.max_pool2d_with_indices: _push_max_pool,
    aten.floor: _push_constant,
    aten.new_zeros: _push_constant,
    aten.zeros_like: _push_constant,
    aten.native_dropout: _push_dropout,
    aten.native_batch_norm: _push_batch_norm,
    aten.cudnn_batch_norm: _push_batch_norm,
}
