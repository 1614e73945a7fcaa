// Colours of hooks, and what all canvases share.

// Colour → the words in names of hooks that have it.
const HOOK_WORDS = [["accept", /accept|connection/i], ["write", /write|send/i], ["read", /read|recv|push/i],
  ["timer", /time|call|sleep/i], ["wake", /wake|poll|task/i]];
const HOOK_COLOURS = ["read", "write", "accept", "timer", "wake", "other"];

function colourOf(hook) {
  if (hook.accepts && /read|event|accept/i.test(hook.name)) return "accept";
  const found = HOOK_WORDS.find(([, pattern]) => pattern.test(hook.name));
  return found ? found[0] : "other";
}

// Each colour of this recording, with the hooks that have it.
function drawLegend(list, model) {
  const names = new Map();
  for (const hook of model.hooks) {
    const colour = colourOf(hook), text = hook.name + (colour === "accept" && hook.name !== "accept" ? " (accept)" : "");
    names.set(colour, (names.get(colour) || new Set()).add(text));
  }
  const entry = (colour, text) => make("li", { class: `c-${colour}` }, make("i", {}), text);
  const hooks = HOOK_COLOURS.filter((colour) => names.has(colour)).map((colour) => entry(colour, [...names.get(colour)].join(", ")));
  const perhaps = model.blocks ? [] : [entry("perhaps", word("perhaps"))];
  list.replaceChildren(entry("wait", word("waiting")), ...hooks, entry("work", word("work")), entry("ready", word("ready")),
    ...perhaps);
}

// The colours of the style sheet, as they are now.
function palette() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(`--${name}`).trim();
  const colours = { pale: of("verd-pale") };
  for (const name of ["paper", "panel", "sunk", "ink", "soft", "rule", "bronze", "alarm"]) colours[name] = of(name);
  for (const name of ["wait", "work", ...HOOK_COLOURS]) colours[name] = of(`k-${name}`);
  return colours;
}

// Makes a canvas as large as its box, for this screen's pixels; returns its context and width.
function prepare(canvas, height) {
  const width = canvas.clientWidth || canvas.parentNode.clientWidth, ratio = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    canvas.style.height = `${height}px`;
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.textBaseline = "alphabetic";
  return [context, width];
}

function font(context, pixels, weight = 400) {
  context.font = `${weight} ${pixels}px ${getComputedStyle(document.body).fontFamily}`;
}

// The text, or as much of it as fits.
function fitting(context, text, width) {
  if (context.measureText(text).width <= width) return text;
  let short = text;
  while (short && context.measureText(`${short}…`).width > width) short = short.slice(0, -1);
  return short ? `${short}…` : "";
}

// Times for the ticks of an axis: 1, 2 or 5 times a power of ten apart.
function ticks(length, most) {
  const raw = length / Math.max(1, most), power = 10 ** Math.floor(Math.log10(raw || 1));
  const step = [1, 2, 5, 10].map((times) => times * power).find((one) => one >= raw) || power * 10;
  const all = [];
  for (let at = 0; at <= length * 1.0001; at += step) all.push(at);
  return all;
}

// Calls back with the position of each press and drag on a canvas.
function onPress(canvas, callback) {
  let down = false;
  const tell = (event) => callback(event.offsetX, event.offsetY);
  canvas.addEventListener("pointerdown", (event) => {
    down = true;
    canvas.setPointerCapture(event.pointerId);
    tell(event);
  });
  canvas.addEventListener("pointermove", (event) => down && tell(event));
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { down = false; });
}
