// Reads one format from the server at ?from=URL; `window.read(name)` resolves to what was read, or to its error.
import { PMTiles } from "pmtiles";
import * as zarr from "zarrita";

const from = new URLSearchParams(location.search).get("from");
const text = (data) => new TextDecoder().decode(data);

const readers = {
  async pmtiles() {
    const map = new PMTiles(`${from}/map.pmtiles`);
    const tiles = [];
    for (const [z, x, y] of [[0, 0, 0], [1, 0, 0], [1, 1, 0]]) {
      tiles.push(text((await map.getZxy(z, x, y)).data).slice(0, 7));
    }
    return [...tiles, (await map.getMetadata()).name];
  },
  // Several ranges in one request: the browser asks first (a preflight), and the answer is multipart.
  async geotiff() {
    const image = await GeoTIFF.fromUrl(`${from}/image.tif`, { maxRanges: 8, blockSize: 4096 });
    const first = await image.getImage();
    const window = [250, 250, 262, 262];
    const [band] = await first.readRasters({ window });
    const overview = await image.getImage(1);
    const [small] = await overview.readRasters({ window: [0, 0, 3, 2] });
    return [await image.getImageCount(), first.getBoundingBox(), [...band], [...small]];
  },
  async array() {
    const array = await zarr.open(new zarr.FetchStore(`${from}/array.zarr`), { kind: "array" });
    return [...(await zarr.get(array, [zarr.slice(254, 258), zarr.slice(254, 258)])).data];
  },
  // A suffix of the file is its index: a range that a browser asks about first.
  async sharded() {
    const store = new zarr.FetchStore(`${from}/sharded.zarr`, { useSuffixRequest: true });
    const array = await zarr.open(store, { kind: "array" });
    return [...(await zarr.get(array, [zarr.slice(254, 258), zarr.slice(254, 258)])).data];
  },
  // As other readers do it: the length first, then the end.
  async lengths() {
    const store = new zarr.FetchStore(`${from}/sharded.zarr`);
    const array = await zarr.open(store, { kind: "array" });
    return [...(await zarr.get(array, [300, zarr.slice(0, 4)])).data];
  },
  // What a script sees of the responses themselves.
  async fields() {
    const part = await fetch(`${from}/image.tif`, { headers: { Range: "bytes=0-9" } });
    const names = ["Accept-Ranges", "Content-Length", "Content-Range", "ETag", "Last-Modified", "X-Data"];
    const tag = part.headers.get("ETag");
    const same = await fetch(`${from}/image.tif`, { headers: { "If-None-Match": tag }, cache: "no-store" });
    const other = await fetch(`${from}/image.tif`, { headers: { Range: "bytes=0-9", "If-Match": '"x"' } });
    const beyond = await fetch(`${from}/image.tif`, { headers: { Range: "bytes=9999999-" }, cache: "no-store" });
    const none = await fetch(`${from}/nothing`);
    // Browsers ask first for several ranges.
    const parts = await fetch(`${from}/image.tif`, { headers: { Range: "bytes=0-1,1000-1001" }, cache: "no-store" });
    return [names.filter((name) => part.headers.get(name) === null),
      [part, same, other, beyond, none, parts].map((response) => response.status),
      beyond.headers.get("Content-Range"), parts.headers.get("Content-Type").split(";")[0]];
  },
};

window.read = async (name) => {
  try {
    return JSON.stringify(await readers[name]());
  } catch (error) {
    return `${error.name}: ${error.message}`;
  }
};
document.documentElement.dataset.shown = 1;
