"""A stand-in for the package mindspore_lite: a folder for PYTHONPATH, because no wheel of it is for the Pythons here.

It has only names that its documentation has, takes only the types that are documented there, and raises what is
documented; https://mindspore.cn/lite/api/en/r2.0/mindspore_lite/mindspore_lite.Context.html and
https://mindspore.cn/lite/api/en/r2.0/_modules/mindspore_lite/model.html (the same in r2.10.0), with the messages of
mindspore_lite 2.0.0 where it has been seen to give them. What Lite computes on its devices, mindspore computes here.
"""

from __future__ import annotations

import enum
import os

import numpy as np

__all__ = ["Context", "DataType", "Format", "Model", "ModelType", "Tensor"]


class ModelType(enum.Enum):
    MINDIR = 0
    MINDIR_LITE = 4


class DataType(enum.Enum):
    FLOAT16 = 42
    FLOAT32 = 43
    FLOAT64 = 44


class Format(enum.Enum):
    NCHW = 0
    NHWC = 1


NUMPY_TYPES = {
    np.float16: DataType.FLOAT16,
    np.float32: DataType.FLOAT32,
    np.float64: DataType.FLOAT64,
}


def check(name: str, value: object, kind: type) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {kind.__name__}, but got {type(value)}.")


def check_list(name: str, value: object, kind: type) -> None:
    check(name, value, list)
    assert isinstance(value, list)
    for each in value:
        check(f"{name} element", each, kind)


class Count:
    """A property that takes ints from 0 on."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, holder: object, owner: type) -> int:
        return getattr(holder, f"_{self.name}", 0)

    def __set__(self, holder: object, value: int) -> None:
        check(self.name, value, int)
        if value < 0:
            raise ValueError(f"{self.name} must be a non-negative int.")
        setattr(holder, f"_{self.name}", value)


class _Cpu:
    __slots__ = ("_inter_op_parallel_num", "_thread_num")
    thread_num, inter_op_parallel_num = Count(), Count()


class _Card:
    __slots__ = ("_device_id",)
    device_id = Count()


class Context:
    __slots__ = ("_target", "ascend", "cpu", "gpu")

    def __init__(self) -> None:
        self.cpu, self.gpu, self.ascend = _Cpu(), _Card(), _Card()
        self.target = ["cpu"]

    @property
    def target(self) -> list[str]:
        return self._target

    @target.setter
    def target(self, target: list[str]) -> None:
        check_list("target", target, str)
        for each in target:
            if each.lower() not in ("cpu", "gpu", "ascend"):
                raise ValueError(
                    f"target elements must be in ['cpu', 'gpu', 'ascend'], but got {each.lower()}."
                )
        self._target = target


class Tensor:
    __slots__ = ("_values", "dtype", "format", "name", "shape")

    def __init__(self) -> None:
        self.name, self.shape, self.dtype, self.format = "", [], DataType.FLOAT32, Format.NCHW
        self._values: np.ndarray | None = None

    @property
    def data_size(self) -> int:
        return int(np.prod(self.shape)) * {DataType.FLOAT16: 2, DataType.FLOAT32: 4}.get(self.dtype, 8)

    def set_data_from_numpy(self, numpy_obj: np.ndarray) -> None:
        check("numpy_obj", numpy_obj, np.ndarray)
        if NUMPY_TYPES.get(numpy_obj.dtype.type) != self.dtype:
            raise RuntimeError(
                f"data type not equal! Numpy type: {numpy_obj.dtype.type}, Tensor type: {self.dtype}"
            )
        if numpy_obj.nbytes != self.data_size:
            raise RuntimeError(
                f"data size not equal! Numpy size: {numpy_obj.nbytes}, Tensor size: {self.data_size}"
            )
        # the bytes count, not the array's shape
        self._values = np.frombuffer(numpy_obj.tobytes(), numpy_obj.dtype).reshape(self.shape)

    def get_data_to_numpy(self) -> np.ndarray:
        if self._values is None:
            raise RuntimeError("the Tensor has no data")
        return self._values


class Model:
    __slots__ = ("_cell", "_shape")

    def build_from_file(
        self,
        model_path: str,
        model_type: ModelType,
        context: Context | None = None,
        config_path: str = "",
    ) -> None:
        check("model_path", model_path, str)
        check("model_type", model_type, ModelType)
        check("context", Context() if context is None else context, Context)
        check("config_path", config_path, str)
        if not os.path.exists(model_path):
            raise RuntimeError("build_from_file failed, model_path does not exist!")
        import mindspore as ms
        from mindspore import nn
        from mindspore.train import mind_ir_pb2

        described = mind_ir_pb2.ModelProto()
        try:
            with open(model_path, "rb") as file:
                described.ParseFromString(file.read())
            self._cell = nn.GraphCell(ms.load(model_path))
        except Exception as err:
            raise RuntimeError("build_from_file failed! Error is Common error code.") from err
        self._shape = [int(size) for size in described.graph.input[0].tensor[0].dims]

    def get_inputs(self) -> list[Tensor]:
        found = Tensor()
        found.shape = list(self._shape)
        return [found]

    def predict(self, inputs: list[Tensor]) -> list[Tensor]:
        check_list("inputs", inputs, Tensor)
        import mindspore as ms

        found = Tensor()
        values = self._cell(ms.Tensor(np.array(inputs[0].get_data_to_numpy()))).asnumpy()
        found.shape = list(values.shape)
        found.set_data_from_numpy(values)
        return [found]
