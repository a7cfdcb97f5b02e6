"""A pretended device for machines without a GPU: values on the CPU, rules of a GPU.

`begin()`, then `with Pretending():`. A tensor is on the device when it was made there, moved there or computed from one
that is; an operation that mixes it with the CPU's tensors fails as it does on a GPU.
"""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch.accelerators import Accelerator, AcceleratorRegistry
from lightning.pytorch.strategies import SingleDeviceStrategy, StrategyRegistry
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

NAME = "pretended"
MIXES = {"copy_", "_to_copy", "index", "index_put", "index_put_"}  # take tensors of the CPU, on a GPU too


class Elsewhere(Tensor):
    """A tensor that says it is on the pretended device."""

    values: Tensor

    @staticmethod
    def __new__(cls, values: Tensor) -> Elsewhere:
        layout = {"strides": values.stride(), "storage_offset": values.storage_offset(), "dtype": values.dtype}
        elsewhere: Elsewhere = Tensor._make_wrapper_subclass(cls, values.shape, device=f"{NAME}:0", **layout)
        elsewhere.values = values
        return elsewhere

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.values.__reduce_ex__(protocol)

    def tolist(self) -> Any:
        return self.values.tolist()

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return compute(operation, args, kwargs or {})


class Pretending(TorchDispatchMode):
    """Has tensors made on the pretended device."""

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        here = Elsewhere not in types and kwargs.get("device") is None
        return operation(*args, **kwargs) if here else compute(operation, args, kwargs)


def compute(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the CPU, with results where a GPU would have them."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
    elsewhere = any(isinstance(x, Elsewhere) for x in tensors)
    name = operation._schema.name.split("::")[1]
    if elsewhere and name not in MIXES and not all(isinstance(x, Elsewhere) or x.ndim == 0 for x in tensors):
        raise RuntimeError(f"{name} of tensors on {sorted({str(x.device) for x in tensors})}")
    if kwargs.get("device") is not None:
        elsewhere = kwargs["device"].type == NAME
        kwargs = {**kwargs, "device": torch.device("cpu")}
    args_here, kwargs_here = tree_map_only(Elsewhere, lambda x: x.values, (args, kwargs))
    result = operation(*args_here, **kwargs_here)
    if name.endswith("_") and operation._schema.is_mutable:  # in place
        return args[0] if operation._schema.returns else None
    return tree_map_only(Tensor, Elsewhere, result) if elsewhere else result


class Pretended(Accelerator):
    """The pretended device for Lightning's trainer."""

    def setup_device(self, device: torch.device) -> None:
        pass

    def teardown(self) -> None:
        pass

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> int:
        return 1

    @staticmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]:
        return [torch.device(f"{NAME}:0")]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return NAME


class Backend(_DummyBackendModule):
    """What torch asks a device of."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def begin() -> None:
    """Makes the device known to torch and Lightning."""
    _setup_privateuseone_for_python_backend(NAME, Backend())
    torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(..., device=...) is made on the CPU and moved
    torch.inference_mode = torch.no_grad  # type: ignore[misc,assignment]  # no view of a wrapped tensor is allowed there
    AcceleratorRegistry.register(NAME, Pretended, "the pretended device")
    StrategyRegistry.register(NAME, SingleDeviceStrategy, "the pretended device", device=f"{NAME}:0")
