// Several recordings side by side: what each loop did for the same clients.

// Figure → how it is written, and the word of `tells` without which the loop cannot say it.
const FIGURES = [
  ["turns", whole], ["waits", whole], ["asked", whole, "asked"], ["events", whole, "event"], ["hooks", whole, "hook"],
  ["reads", whole, "read"], ["writes", whole, "write"], ["blocked", whole, "read"], ["watches", whole, "register"],
  ["wakes", whole, "wake"], ["responses", whole, "response"], ["bytesIn", size, "read"], ["bytesOut", size, "write"],
  ["waited", duration], ["worked", duration], ["longest", duration],
];

function drawCompare(table, strips, players, open) {
  const sums = players.map(({ model }) => {
    const turn = model.turns[model.longestTurn()];
    return { ...model.summary(), longest: turn ? turn.ended - turn.turned : 0 };
  });
  const head = make("tr", {}, make("td", {}), ...players.map((player, at) =>
    make("th", { scope: "col" }, make("button", { type: "button", class: "link", click: () => open(at) }, player.title))));
  const line = (name, cells) => make("tr", {}, make("th", { scope: "row" }, word(`cmp.${name}`)), ...cells);
  const loops = line("loop", players.map(({ model }) => make("td", {}, model.recording.facts.loop || "–")));
  const rows = FIGURES.filter(([name, , needs]) => players.some((player, at) => sums[at][name] || can(player, needs)))
    .map(([name, write, needs]) => line(name, players.map((player, at) => {
      const value = sums[at][name], told = value || can(player, needs), all = sums.map((sum) => sum[name]);
      return make("td", { class: told ? "" : "soft untold" }, told ? write(value) : word("cmp.untold"), bar(value, all));
    })));
  table.replaceChildren(make("thead", {}, head), make("tbody", {}, loops, ...rows));
  const starts = startsOf(players), longest = Math.max(...players.map(({ model }, at) => model.ended - starts[at]), 1);
  if (strips.childElementCount !== players.length)
    strips.replaceChildren(...players.map(() => make("figure", {}, make("figcaption", {}), make("canvas", { role: "img" }))));
  const colours = palette();
  players.forEach((player, at) => drawStrip(strips.children[at], player, starts[at], longest, colours, at === players.length - 1));
}

// Where the axis of each recording begins. Threads of one program have the same time 0, and begin at different times.
function startsOf(players) {
  const first = Math.min(...players.map(({ model }) => model.began));
  const areThreads = new Set(players.map(({ model }) => model.fromOutside && model.recording.facts.began)).size === 1;
  return players.map(({ model }) => (areThreads && model.fromOutside ? first : model.began));
}

// A loop that asks about every descriptor has no list in the kernel; one with such a list asks about none.
function can({ model }, needs) {
  const loop = model.recording.facts.loop || "";
  if (needs === "event") return loop !== "tokio";
  const asks = /^(select|poll)$/.test(loop);
  return !needs || needs === "asked" || model.recording.tells.has(needs) || (needs === "register" && asks);
}

// A bar beside a figure: its share of the largest one in the row.
function bar(value, all) {
  const most = Math.max(...all, 1), node = make("i", { class: "bar", "aria-hidden": "true" });
  node.style.width = `${Math.round((value / most) * 100)}%`;
  return node;
}

function drawStrip(figure, player, start, longest, colours, isLast) {
  const [caption, canvas] = figure.children;
  caption.textContent = `${player.title} · ${player.model.recording.facts.loop || ""}`;
  canvas.setAttribute("aria-label", `${player.title}: ${word("n.turns", player.model.summary().turns)}`);
  const [context, width] = prepare(canvas, 34 + (isLast ? AXIS : 0)), columns = Math.max(1, Math.floor(width));
  const from = ((player.model.began - start) / longest) * width;
  const share = (player.model.ended - player.model.began) / longest;
  context.fillStyle = colours.sunk;
  context.fillRect(0, 0, width, 34);
  context.fillStyle = colours.wait;
  context.fillRect(from, 0, Math.max(1, width * share), 34);
  drawFill(context, fillOf(player.model, columns, start, longest), colours, 0, 34);
  if (isLast) drawAxis(context, colours, width, 34, longest);
}
