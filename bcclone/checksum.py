"""CRC-32 of two pieces -> that of both, so that threads can take the checksums of their own pieces.

A CRC is the remainder of a polynomial over GF(2) divided by zlib's; that of A behind which B comes is the remainder of
A times x to the power of B's bits, plus that of B. Bit 31 of a number here is the coefficient of x^0.
"""

from functools import lru_cache

_POLYNOMIAL = 0xEDB88320  # of zlib.crc32
_ONE, _X = 1 << 31, 1 << 30


def joined(first: int, second: int, length: int) -> int:
    """Return zlib.crc32 of two pieces one behind the other, from their own; length: bytes of the second."""
    return _multiply(first, _shift(length)) ^ second


@lru_cache(64)  # nearly all pieces are of one length
def _shift(length: int) -> int:
    """Return x^(8 length), by squaring."""
    power, square, bits = _ONE, _X, 8 * length
    while bits:
        if bits & 1:
            power = _multiply(power, square)
        square = _multiply(square, square)
        bits >>= 1
    return power


def _multiply(one: int, other: int) -> int:
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = (one << 1) & 0xFFFFFFFF
        other = (other >> 1) ^ (_POLYNOMIAL if other & 1 else 0)
    return product
