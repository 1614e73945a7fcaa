// The whole recording on a true time axis. A column of the picture is filled as far as its time was spent in hooks.

const BODY = 46, LABELS = 16, AXIS = 18, QUEUE = 40;

// How much of each pixel's time each colour has.
function fillOf(model, width, from, length) {
  const fill = { work: new Float64Array(width) };
  for (const name of HOOK_COLOURS) fill[name] = new Float64Array(width);
  const add = (column, began, ended) => {
    const first = ((began - from) / length) * width, last = ((ended - from) / length) * width;
    for (let at = Math.max(0, Math.floor(first)); at < Math.min(width, Math.max(last, first + 1e-9)); at++)
      column[at] += Math.max(0, Math.min(at + 1, last) - Math.max(at, first));
  };
  for (const turn of model.turns)
    for (const part of turn.parts) {
      const { hook } = part;
      add(hook ? fill[colourOf(hook)] : fill.work, Math.max(part.began, turn.turned), part.ended);
    }
  return fill;
}

function drawFill(context, fill, colours, top, height) {
  const width = fill.work.length;
  for (let at = 0; at < width; at++) {
    let y = top + height;
    for (const name of [...HOOK_COLOURS, "work"]) {
      const share = fill[name][at];
      if (share <= 0) continue;
      const tall = Math.min(y - top, Math.max(name === "work" ? 0.5 : 2, share * height));
      context.fillStyle = colours[name];
      context.fillRect(at, y - tall, 1, tall);
      y -= tall;
    }
  }
}

function drawAxis(context, colours, width, y, length) {
  font(context, 11);
  context.fillStyle = colours.soft;
  context.strokeStyle = colours.rule;
  context.textAlign = "left";
  for (const at of ticks(length, width / 110)) {
    const x = Math.min(width - 1, (at / length) * width);
    context.fillRect(x, y, 1, 4);
    const text = at ? duration(at) : "0", room = width - x - 4;
    if (context.measureText(text).width <= room) context.fillText(text, x + 3, y + 13);
  }
}

class Overview {
  constructor(canvas, player) {
    this.canvas = canvas;
    this.player = player;
    this.cache = null;
    onPress(canvas, (x) => player.goToTime(this.from() + (x / canvas.clientWidth) * this.length()));
  }

  from() {
    return this.player.model.began;
  }

  length() {
    return Math.max(1, this.player.model.ended - this.player.model.began);
  }

  draw(colours) {
    const { model } = this.player, queue = model.queues.length ? QUEUE : 0;
    const [context, width] = prepare(this.canvas, LABELS + BODY + queue + AXIS);
    const columns = Math.max(1, Math.floor(width));
    if (!this.cache || this.cache.model !== model || this.cache.columns !== columns)
      this.cache = { model, columns, fill: fillOf(model, columns, this.from(), this.length()) };
    context.fillStyle = colours.wait;
    context.fillRect(0, LABELS, width, BODY);
    drawFill(context, this.cache.fill, colours, LABELS, BODY);
    this.drawSlow(context, colours, width);
    if (queue) this.drawQueue(context, colours, width, LABELS + BODY, queue);
    drawAxis(context, colours, width, LABELS + BODY + queue, this.length());
    this.drawFindings(context, colours, width);
    this.drawPlace(context, colours, width, LABELS + BODY + queue);
  }

  x(time, width) {
    return ((time - this.from()) / this.length()) * width;
  }

  // The slowest hooks say how long they took, and how many channels waited behind them. A thread that blocks is no loop that
  // is late: only a call that keeps others waiting is in red.
  drawSlow(context, colours, width) {
    const { model } = this.player, taken = [];
    const slow = model.hooks.filter((hook) => hook.length >= SLOW).sort((one, other) => other.length - one.length);
    font(context, 11, 600);
    context.textAlign = "left";
    for (const hook of slow.slice(0, 24)) {
      const note = behindNote(model, hook), text = duration(hook.length) + (note ? ` · ${note}` : "");
      const long = context.measureText(text).width, x = Math.max(0, Math.min(width - long, this.x(hook.began, width)));
      if (taken.some(([from, to]) => x < to + 8 && x + long > from - 8)) continue;
      taken.push([x, x + long]);
      context.fillStyle = hook.length >= 5 * SLOW && (note || !model.blocks) ? colours.alarm : colours.ink;
      context.fillText(text, x, LABELS - 5);
    }
  }

  drawQueue(context, colours, width, top, height) {
    const { queues } = this.player.model, floor = top + height - 4;
    const most = Math.max(1, ...queues.map((one) => one.length)), tall = height - 18;
    context.fillStyle = colours.bronze;
    queues.forEach((one) => {
      const x = this.x(one.time, width), end = this.x(one.until, width);
      const high = (one.length / most) * tall;
      context.globalAlpha = 0.8;
      context.fillRect(x, floor - high, Math.max(2, end - x), high + 1);
    });
    context.globalAlpha = 1;
    font(context, 11);
    context.fillStyle = colours.soft;
    const limit = queues[queues.length - 1].most;
    const longest = Math.max(...queues.map((one) => one.length));
    const text = word(limit ? "queue.most" : "queue.long", whole(longest), whole(limit));
    context.fillText(`${word("queue")}: ${text}`, 2, top + 12);
  }

  drawFindings(context, colours, width) {
    for (const finding of this.player.findings) {
      const turn = this.player.model.turns[this.player.turnOfFinding(finding)];
      if (!turn) continue;
      const x = this.x(turn.turned, width);
      context.fillStyle = finding.severity === "critical" ? colours.alarm : colours.bronze;
      context.beginPath();
      context.moveTo(x, LABELS + 7);
      context.lineTo(x - 5, LABELS - 2);
      context.lineTo(x + 5, LABELS - 2);
      context.fill();
    }
  }

  drawPlace(context, colours, width, bottom) {
    const { recording } = this.player.model, x = this.x(recording.time[this.player.at] || this.from(), width);
    context.fillStyle = colours.ink;
    context.fillRect(Math.min(width - 2, Math.max(0, x - 1)), LABELS - 3, 2, bottom - LABELS + 3);
    context.beginPath();
    context.moveTo(x - 5, bottom + 6);
    context.lineTo(x + 5, bottom + 6);
    context.lineTo(x, bottom);
    context.fill();
  }
}
