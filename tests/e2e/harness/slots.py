"""Redis Cluster's key to slot rule."""

SLOTS = 16384


def _table():
    rows = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021) if crc & 0x8000 else crc << 1
        rows.append(crc & 0xFFFF)
    return rows


_CRC16 = _table()


def slot_of(key):
    """The slot of a key; only what stands between the first `{` and the next `}` counts, unless it is empty."""
    if isinstance(key, str):
        key = key.encode()
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    crc = 0
    for byte in key:
        crc = ((crc << 8) & 0xFFFF) ^ _CRC16[(crc >> 8) ^ byte]
    return crc % SLOTS


def tag_for(first, last, salt=""):
    """A short hash tag whose slot lies in first..=last."""
    number = 0
    while not first <= slot_of(f"{salt}{number}") <= last:
        number += 1
    return f"{salt}{number}"
