"""Small files in the formats that are read by ranges: PMTiles, GeoTIFF, Zarr."""

import json
import struct

# Pixels of a side of the image and of a tile of it; the array has the same shape.
SIDE, TILE = 512, 256
# The PMTiles reader asks for 16 KiB first: the tiles are beyond that.
GAP = 64 * 1024


def pixel(column, row):
    return (column * 7 + row * 13) % 251


def write(folder):
    """Writes all of them."""
    (folder / "map.pmtiles").write_bytes(pmtiles())
    (folder / "image.tif").write_bytes(geotiff())
    zarr(folder / "array.zarr", [SIDE, SIDE], [TILE, TILE], None)
    zarr(folder / "sharded.zarr", [SIDE, SIDE], [SIDE, SIDE], [TILE, TILE])


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def tile(number):
    return f"tile {number} ".encode() * 400


def pmtiles():
    """Version 3, uncompressed: five tiles of the levels 0 and 1, the last in a leaf directory."""
    sizes = [len(tile(number)) for number in range(5)]
    offsets = [sum(sizes[:number]) for number in range(5)]

    def directory(entries):
        """Of (tile id, run length, length, offset)."""
        steps = [entry[0] - before for entry, before in zip(entries, [0, *(entry[0] for entry in entries)])]
        columns = [steps, *([entry[at] for entry in entries] for at in (1, 2)), [entry[3] + 1 for entry in entries]]
        return varint(len(entries)) + b"".join(varint(number) for column in columns for number in column)
    leaf = directory([(4, 1, sizes[4], offsets[4])])
    root = directory([*((number, 1, sizes[number], offsets[number]) for number in range(4)), (4, 0, len(leaf), 0)])
    about, tiles = json.dumps({"name": "five tiles"}).encode(), b"".join(map(tile, range(5)))
    places, at = [], 127
    for part in (root, about):
        places += [at, len(part)]
        at += len(part)
    places += [GAP, len(leaf), 2 * GAP, len(tiles)]
    head = b"PMTiles\x03" + struct.pack("<11Q", *places, 5, 5, 5) + bytes([1, 1, 1, 1, 0, 1])
    head += struct.pack("<4iB2i", -1800000000, -850000000, 1800000000, 850000000, 0, 0, 0)
    content = bytearray(2 * GAP) + tiles
    for place, part in ((0, head), (places[0], root), (places[2], about), (GAP, leaf)):
        content[place:place + len(part)] = part
    return bytes(content)


def geotiff():
    """One band of bytes in tiles, uncompressed, with an overview of half the size; the directories come first."""
    levels = [(SIDE, 1), (SIDE // 2, 2)]
    tags = [common_tags(side, step) for side, step in levels]
    # A directory: the number of entries, 12 bytes for each, the place of the next one; then what fits in no entry.
    places, at = [], 8
    for entries in tags:
        places.append(at)
        at += 2 + 12 * len(entries) + 4 + sum(len(data) for _, _, _, data in entries if len(data) > 4)
    data_at, out = (at + 15) // 16 * 16, bytearray(b"II*\0" + struct.pack("<I", 8))
    data = b""
    for (side, step), entries, place, following in zip(levels, tags, places, [*places[1:], 0]):
        tiles = [pixels(left, top, step) for top in range(0, side, TILE) for left in range(0, side, TILE)]
        starts = [data_at + len(data) + TILE * TILE * number for number in range(len(tiles))]
        data += b"".join(tiles)
        entries = [(tag, kind, count, struct.pack(f"<{count}I", *starts) if tag == 324 else more)
                   for tag, kind, count, more in entries]
        beyond, extra = place + 2 + 12 * len(entries) + 4, b""
        out += struct.pack("<H", len(entries))
        for tag, kind, count, more in entries:
            out += struct.pack("<HHI", tag, kind, count)
            if len(more) > 4:
                out, extra = out + struct.pack("<I", beyond + len(extra)), extra + more
            else:
                out += more.ljust(4, b"\0")
        out += struct.pack("<I", following) + extra
    return bytes(out.ljust(data_at, b"\0") + data)


def common_tags(side, step):
    """Entries of a directory: tag, type, count, bytes. The places of the tiles are not known yet."""
    count = (side // TILE) ** 2
    short, long, double = (lambda *n: struct.pack(f"<{len(n)}H", *n)), (lambda *n: struct.pack(f"<{len(n)}I", *n)), \
        (lambda *n: struct.pack(f"<{len(n)}d", *n))
    entries = [(256, 3, 1, short(side)), (257, 3, 1, short(side)), (258, 3, 1, short(8)), (259, 3, 1, short(1)),
               (262, 3, 1, short(1)), (277, 3, 1, short(1)), (322, 3, 1, short(TILE)), (323, 3, 1, short(TILE)),
               (324, 4, count, bytes(4 * count)), (325, 4, count, long(*[TILE * TILE] * count))]
    if step > 1:
        return [(254, 4, 1, long(1)), *entries]
    return [*entries, (33550, 12, 3, double(1, 1, 0)), (33922, 12, 6, double(0, 0, 0, 100, 900, 0)),
            # Version 1.1, one key: the model is projected.
            (34735, 3, 8, short(1, 1, 0, 1, 1024, 0, 1, 1))]


def pixels(left, top, step):
    return bytes(pixel((left + column) * step, (top + row) * step) for row in range(TILE) for column in range(TILE))


def zarr(folder, shape, chunks, inner):
    """Version 3, bytes, uncompressed; with `inner` chunks inside of shards. The last chunk is missing where there are no
    shards: readers take its 404 for the fill value."""
    plain = [{"name": "bytes"}]
    shards = {"name": "sharding_indexed", "configuration": {
        "chunk_shape": inner, "codecs": plain, "index_location": "end",
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}]}}
    about = {"zarr_format": 3, "node_type": "array", "shape": shape, "data_type": "uint8", "fill_value": 7,
             "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": chunks}},
             "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
             "codecs": [shards] if inner else plain, "attributes": {}}
    folder.mkdir()
    (folder / "zarr.json").write_text(json.dumps(about))
    parts = {(row, column): pixels(column * TILE, row * TILE, 1) for row in range(2) for column in range(2)}
    if inner:
        content = b"".join(parts.values())
        index = b"".join(struct.pack("<2Q", TILE * TILE * number, TILE * TILE) for number in range(4))
        parts = {(0, 0): content + index}
    else:
        del parts[1, 1]
    for (row, column), content in parts.items():
        path = folder / "c" / str(row) / str(column)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
