"""Memory that was freed, given back to the system."""

import ctypes
import sys


def give_back_memory() -> None:
    """Lets the C library return what it keeps of freed memory; does nothing where it cannot be asked to.

    glibc keeps most of what a program frees. A heap that was filled bit by bit, with rows of many photographs between
    tensors, then is too much in pieces for the large tensors that follow: they take new memory, and the more
    photographs, the more. See `malloc_trim(3)`.
    """
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:  # musl has none
        trim(ctypes.c_size_t(0))
