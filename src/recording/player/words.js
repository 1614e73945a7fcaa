// How words and numbers are written.

const WORDS = { en: ENGLISH, ru: RUSSIAN };

const UNITS = {
  en: { ns: "ns", us: "µs", ms: "ms", s: "s", min: "min", B: "B", KiB: "KiB", MiB: "MiB", point: ".", group: "," },
  ru: { ns: "нс", us: "мкс", ms: "мс", s: "с", min: "мин", B: "Б", KiB: "КиБ", MiB: "МиБ", point: ",", group: "\u202f" },
};

let language = "en";
// Some words differ in recordings from outside: those with `@thread` or `@outside` after their name.
let variant = "";

function chooseVariant(wanted) {
  variant = wanted;
}

function chooseLanguage(wanted) {
  language = wanted === "ru" ? "ru" : "en";
  document.documentElement.lang = language;
}

// The text of a word; `{0}` and so on are replaced. Of a list, the first value chooses the form.
function word(key, ...values) {
  let text = WORDS[language][`${key}@${variant}`] ?? WORDS[language][key] ?? WORDS.en[key] ?? key;
  if (Array.isArray(text)) {
    const count = values[0];
    text = text[pluralForm(count)];
    values = [whole(count), ...values.slice(1)];
  }
  return text.replace(/\{(\d)\}/g, (_, at) => values[at]);
}

function pluralForm(count) {
  if (language === "en") return count === 1 ? 0 : 1;
  const tens = count % 100, ones = count % 10;
  if (ones === 1 && tens !== 11) return 0;
  return ones >= 2 && ones <= 4 && (tens < 12 || tens > 14) ? 1 : 2;
}

function whole(number) {
  const digits = String(Math.round(number));
  return digits.length < 5 ? digits : digits.replace(/\B(?=(\d{3})+$)/g, UNITS[language].group);
}

// Two digits before the point are enough; one digit gets another one after it.
function rounded(value) {
  const text = value < 9.95 ? value.toFixed(1) : String(Math.round(value));
  return text.replace(/\.0$/, "").replace(".", UNITS[language].point);
}

function duration(ns) {
  const unit = UNITS[language];
  if (!isFinite(ns)) return "∞";
  if (ns < 1e3) return `${Math.round(ns)} ${unit.ns}`;
  if (ns < 999.5e3) return `${rounded(ns / 1e3)} ${unit.us}`;
  if (ns < 999.5e6) return `${rounded(ns / 1e6)} ${unit.ms}`;
  if (ns < 120e9) return `${rounded(ns / 1e9)} ${unit.s}`;
  return `${rounded(ns / 60e9)} ${unit.min}`;
}

function size(bytes) {
  const unit = UNITS[language];
  if (bytes < 10000) return `${whole(bytes)} ${unit.B}`;
  return bytes < 10240000 ? `${rounded(bytes / 1024)} ${unit.KiB}` : `${rounded(bytes / 1048576)} ${unit.MiB}`;
}

// Fills in the words of everything below `root` that names one.
function translate(root) {
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = word(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", word(node.dataset.tLabel));
    node.title = word(node.dataset.tLabel);
  }
}

// Makes an element. `text` and functions of events are no attributes.
function make(tag, attributes = {}, ...children) {
  const isSvg = /^(svg|g|circle|path|text|line|title)$/.test(tag);
  const node = isSvg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
