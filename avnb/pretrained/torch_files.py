"""Read files of `torch.save` that nobody vouches for, without running code."""

import io
import re
import zipfile
from typing import Any

import torch


def load_torch_file(data: bytes, largest: int) -> Any:
    """Load the content of a file of `torch.save`, on the CPU.

    torch's restricted reader knows tensors and plain containers, and refuses all else
    that a pickle can name.

    Args:
        data: the bytes of the file, a zip archive or torch's older format.
        largest: how many bytes a zip archive may unpack to. `torch.save` does not
            compress, but a file made with bad intent may be small and unpack to more
            than the memory holds. The archive's table of contents tells the sizes
            before anything is unpacked.

    Raises:
        ValueError: the file is damaged, too large when unpacked, or holds something
            else than tensors and plain values; the message says which.
    """
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                size = sum(entry.file_size for entry in archive.infolist())
            if size > largest:
                raise ValueError(f"it would unpack to {size} bytes")
        return torch.load(io.BytesIO(data), "cpu", weights_only=True)
    except ValueError:
        raise
    except Exception as error:  # whatever a damaged or a harmful file can raise
        # torch's own message advises to load the file without protection: leave it out.
        if found := re.search(r"GLOBAL ([\w.]+)", str(error)):
            raise ValueError(f"it asks for {found[1]}, which is refused") from None
        kind = type(error).__name__
        raise ValueError(f"it is damaged or not a file of weights ({kind})") from None
