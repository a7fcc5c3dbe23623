"""Keys and values on the twin's device: rows keep what they have, wherever they are moved."""

import numpy as np
import pytest

from engine.runtime.sessions.tensorrt.caches import DeviceCaches, Encoded
from engine.runtime.sessions.tensorrt.cuda import Cuda, CudaError
from engine.runtime.sessions.tensorrt.memory import DeviceMemory
from engine.runtime.sessions.tensorrt.shapes import Size
from tests.engine.tensorrt import twin

COUNT, ROWS, HEADS, WIDTH, LONGEST = 4, 6, 3, 2, 64


class Lane:
    """A lane's memory of the twin, and what is in it."""

    def __init__(self) -> None:
        self.api = twin.Cuda()
        self.cuda = Cuda(0, self.api)
        shape = COUNT, ROWS, HEADS, WIDTH * 4
        self.own = DeviceCaches(self.cuda, *shape, LONGEST, fixed=True)
        self.cross = DeviceCaches(self.cuda, *shape, LONGEST, fixed=False)
        self.memory = DeviceMemory(self.own, self.cross, [16, 32, 64])
        self.random = np.random.default_rng(0)

    def content(self, caches: DeviceCaches) -> np.ndarray:
        """`[COUNT,N,H,length,K]`."""
        arrays = []
        for place in caches.arrays:
            array = np.zeros((ROWS, HEADS, caches.length, WIDTH), np.float32)
            self.cuda.download(place, array)
            arrays.append(array)
        return np.array(arrays)

    def fill(self, caches: DeviceCaches) -> np.ndarray:
        """Random numbers in all of it."""
        shape = COUNT, ROWS, HEADS, caches.length, WIDTH
        content = self.random.normal(size=shape).astype(np.float32)
        for place, array in zip(caches.arrays, content, strict=True):
            self.cuda.upload(np.ascontiguousarray(array), place)
        return content


def test_rows_keep_what_they_have_when_more_is_read() -> None:
    lane = Lane()
    before = lane.fill(lane.cross)
    lane.memory.widen(4, 33)
    assert lane.memory.size(4) == Size(4, 64, 64)
    np.testing.assert_array_equal(lane.content(lane.cross)[:, :4, :, :16], before[:, :4])
    lane.memory.shrink(np.array([40] * 4), np.array([7] * 4))
    assert lane.cross.length == 64  # answers are long
    lane.memory.shrink(np.array([3] * 4), np.array([7] * 4))
    assert lane.memory.size(4) == Size(4, 16, 16)
    np.testing.assert_array_equal(lane.content(lane.cross)[:, :4], before[:, :4])


def test_moves_wait_and_take_a_call_for_each_memory() -> None:
    """Slot 1 gets what was in 5 and, when that ends, in 4, which waits to get what was in 3."""
    lane = Lane()
    own, cross = lane.fill(lane.own), lane.fill(lane.cross)
    lane.api.recorded.clear()
    lane.memory.move(5, 1, 9, 4)
    lane.memory.move(4, 1, 6, 4)
    lane.memory.move(3, 0, 2, 4)
    assert not lane.api.recorded
    lane.memory.settle()
    names = [name for name, *_ in lane.api.recorded]
    assert sorted(names) == ["cudaMemcpy2DAsync"] * 2 + ["cudaMemcpy3DAsync"] * 2
    found = lane.content(lane.own)
    np.testing.assert_array_equal(found[:, 1, :, :6], own[:, 4, :, :6])
    np.testing.assert_array_equal(found[:, 1, :, 6:], own[:, 1, :, 6:])
    np.testing.assert_array_equal(found[:, 0, :, :2], own[:, 3, :, :2])
    np.testing.assert_array_equal(lane.content(lane.cross)[:, [0, 1]], cross[:, [3, 4]])


def test_a_slot_that_waits_to_be_written_is_read_where_that_comes_from() -> None:
    lane = Lane()
    own = lane.fill(lane.own)
    lane.memory.move(5, 3, 9, 4)
    lane.memory.move(3, 0, 9, 4)
    lane.memory.settle()
    np.testing.assert_array_equal(lane.content(lane.own)[:, 0, :, :9], own[:, 5, :, :9])


def test_what_writes_does_the_moves_before() -> None:
    """A text that starts takes the slot that a move reads, beams copy one that it writes."""
    lane = Lane()
    own, cross = lane.fill(lane.own), lane.fill(lane.cross)
    encoded = lane.random.normal(size=(2, HEADS, 16, WIDTH)).astype(np.float32)
    place = lane.cuda.empty(encoded.nbytes)
    lane.cuda.upload(encoded, place)
    lane.memory.move(2, 0, 5, 4)
    lane.memory.admit(2, Encoded([place] * COUNT, 16), [1, 1])
    found = lane.content(lane.cross)
    np.testing.assert_array_equal(found[:, 0], cross[:, 2])
    np.testing.assert_array_equal(found[3, [2, 3]], encoded[[1, 1]])
    lane.memory.move(4, 1, 5, 4)
    lane.memory.copy(np.array([1]), np.array([0]), np.array([3]))
    np.testing.assert_array_equal(lane.content(lane.own)[:, 0, :, :3], own[:, 4, :, :3])
    lane.memory.clear([1])
    found = lane.content(lane.own)
    assert not found[:, 1].any() and found[:, 0].all()


def test_a_lane_spoils_no_capture_of_another() -> None:
    """As memory on the legacy stream would, for a stream that waits for it."""
    lane = Lane()
    other = lane.cuda.sibling()

    def work() -> None:
        lane.memory.clear([0])
        lane.cuda.empty(64)
        other.clear(lane.own.arrays[0])

    assert other.capture(work) > 0
    _, waiting = lane.api.cudaStreamCreateWithFlags(0)
    lane.api.cudaStreamBeginCapture(waiting, twin.CaptureMode.cudaStreamCaptureModeThreadLocal)
    place = lane.own.arrays[0].address
    assert lane.api.cudaMemset(place, 0, 1) == (twin.Error.cudaErrorStreamCaptureImplicit,)


def test_the_first_error_of_a_capture_is_told() -> None:
    cuda = Cuda(0, twin.Cuda())
    with pytest.raises(CudaError, match="cudaStreamSynchronize failed"):
        cuda.capture(cuda.wait)
    with pytest.raises(ZeroDivisionError):
        cuda.capture(lambda: 1 // 0)  # type: ignore[arg-type, return-value]
    cuda.wait()
