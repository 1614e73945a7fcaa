// The turns around the current one: a lane for the loop, and one for each channel that has to do with them.
//
// Lengths are logarithmic, so that a wait of a second and a hook of ten microseconds fit in one picture.

const TURN_ROW = 15, NOTE_ROW = 15, LOOP_ROW = 26, LANE = 21, MOST_LANES = 8, MOST_PARTS = 150;

function waitWidth(ns) {
  return 12 + 8 * Math.log10(1 + ns / 1e3);
}

function hookWidth(ns) {
  return 12 + 15 * Math.log10(1 + ns / 1e3) + (ns > 1e6 ? 34 * Math.log10(ns / 1e6) : 0);
}

class CloseUp {
  constructor(canvas, player) {
    this.canvas = canvas;
    this.player = player;
    this.items = [];
    onPress(canvas, (x) => {
      const item = this.items.find((one) => x >= one.x && x < one.x + one.width);
      if (item) player.go(item.hook ? item.hook.enter : item.record);
    });
  }

  draw(colours) {
    const { player } = this, { model } = player;
    const width = this.canvas.clientWidth || this.canvas.parentNode.clientWidth;
    this.gutter = width < 560 ? 68 : 148;
    this.scale = width < 560 ? 0.75 : 1;
    this.place(model, width);
    const lanes = this.lanes(model, width);
    const height = TURN_ROW + NOTE_ROW + LOOP_ROW + 4 + Math.max(3, lanes.length) * LANE + 6;
    const [context] = prepare(this.canvas, height);
    this.drawTurns(context, colours, width, height);
    this.drawLabels(context, colours, lanes);
    context.save();
    context.beginPath();
    context.rect(this.gutter, 0, width - this.gutter, height);
    context.clip();
    this.drawReady(context, colours, lanes);
    for (const item of this.items) this.drawItem(context, colours, item, lanes);
    for (const item of this.items.filter((one) => one.hook && one.record === one.hook.enter))
      this.drawNote(context, colours, item, width);
    this.drawHead(context, colours, width, height);
    context.restore();
  }

  // Lays out turns from the current one outwards, until the picture is full.
  place(model, width) {
    const here = model.turnOf[this.player.at] || 0, room = width - this.gutter;
    let left = this.gutter + room * 0.28;
    const ours = this.itemsOf(model.turns[here], left, this.player.at);
    const now = ours.find((item) => this.player.at >= item.record && this.player.at <= item.last) || ours[ours.length - 1];
    const over = now ? now.x + Math.min(now.width, room * 0.5) - (this.gutter + room * 0.8) : 0;
    if (over > 0) {
      for (const item of ours) item.x -= over;
      left -= over;
    }
    this.items = ours;
    let right = ours.length ? ours[ours.length - 1].x + ours[ours.length - 1].width : left;
    for (let at = here + 1; at < model.turns.length && right < width; at++) {
      const more = this.itemsOf(model.turns[at], right, model.turns[at].first);
      this.items = this.items.concat(more);
      if (more.length) right = more[more.length - 1].x + more[more.length - 1].width;
    }
    for (let at = here - 1; at >= 0 && left > this.gutter; at--) {
      const more = this.itemsOf(model.turns[at], 0, model.turns[at].last);
      const total = more.reduce((sum, item) => sum + item.width, 0);
      for (const item of more) item.x += left - total;
      left -= total;
      this.items = more.concat(this.items);
    }
    this.items = this.items.filter((item) => item.x + item.width > this.gutter && item.x < width);
  }

  // Of a turn with very many hooks, those around a record.
  itemsOf(turn, x, around) {
    const items = [];
    const push = (item) => {
      const wide = item.width * this.scale;
      items.push({ ...item, width: wide, turn, x });
      x += wide;
    };
    const here = turn.parts.findIndex((part) => part.last >= around), middle = here < 0 ? turn.parts.length : here;
    const from = Math.max(0, middle - MOST_PARTS);
    if (turn.waitAt >= 0 && from === 0) {
      const last = turn.turnAt >= 0 ? turn.turnAt : turn.last - 1;
      push({ width: waitWidth(turn.turned - turn.began), record: turn.waitAt, last, began: turn.began, ended: turn.turned });
    }
    for (const { hook, from: record, last, began, ended } of turn.parts.slice(from, middle + MOST_PARTS))
      push(hook ? { width: hookWidth(ended - began), length: ended - began, record, last, hook, began, ended }
        : { width: 3, began, ended, record: record + (record > turn.first ? 1 : 0), last, gap: true });
    return items;
  }

  // Channels of the picture: those of the current turn come before others when there is no room for all.
  lanes(model) {
    const here = model.turnOf[this.player.at], found = new Map();
    const turns = [...new Set(this.items.map((item) => item.turn))];
    turns.sort((one, other) => Math.abs(one.at - here) - Math.abs(other.at - here));
    const isHidden = (life) => this.player.hidesFuture() && life.born > this.player.at;
    for (const turn of turns)
      for (const life of [...turn.hooks.map((hook) => hook.life), ...turn.keys])
        if (life && found.size < MOST_LANES && !isHidden(life)) found.set(life, true);
    const y = TURN_ROW + NOTE_ROW + LOOP_ROW + 4;
    return [...found.keys()].sort(bySlot).map((life, at) => ({ life, y: y + at * LANE }));
  }

  drawTurns(context, colours, width, height) {
    const here = this.player.model.turnOf[this.player.at];
    font(context, 11);
    context.textAlign = "left";
    let free = this.gutter;
    for (const turn of new Set(this.items.map((item) => item.turn))) {
      const own = this.items.filter((item) => item.turn === turn);
      const x = Math.max(this.gutter, own[0].x), last = own[own.length - 1], end = Math.min(width, last.x + last.width);
      context.fillStyle = turn.at === here ? colours.pale : turn.at % 2 ? colours.sunk : colours.panel;
      context.fillRect(x, 0, end - x, height);
      const text = turn.waitAt < 0 ? "" : `${end - x > 70 ? `${word("turn")} ` : ""}${whole(turn.number)}`;
      if (x < free || context.measureText(text).width > end - x - 4) continue;
      context.fillStyle = turn.at === here ? colours.ink : colours.soft;
      context.fillText(text, x + 4, TURN_ROW - 4);
      free = x + context.measureText(text).width + 8;
    }
  }

  drawLabels(context, colours, lanes) {
    const { model } = this.player, narrow = this.gutter < 100;
    font(context, 12, 600);
    context.fillStyle = colours.ink;
    context.fillText(word("loop"), 2, TURN_ROW + NOTE_ROW + 17);
    for (const { life, y } of lanes) {
      const text = narrow ? life.client || life.key : who(model, life);
      font(context, 12, life === this.player.life ? 700 : 400);
      context.fillStyle = life === this.player.life ? colours.ink : colours.soft;
      context.fillText(fitting(context, text, this.gutter - 8), 2, y + 15);
      context.fillStyle = colours.rule;
      context.fillRect(this.gutter, y + LANE - 1, this.canvas.clientWidth - this.gutter, 1);
    }
  }

  // A channel that the wait has returned is ready until its hook is called. One that the wait returned at once was so
  // before, while the turn before kept the loop; since when, nobody can say.
  drawReady(context, colours, lanes) {
    const { model } = this.player;
    for (const turn of new Set(this.items.map((item) => item.turn))) {
      const wait = this.items.find((item) => item.turn === turn && !item.gap && !item.hook);
      const x = wait ? wait.x + wait.width : this.items.find((item) => item.turn === turn).x;
      for (const { life, y } of lanes.filter((lane) => turn.keys.includes(lane.life))) {
        const served = this.items.find((item) => item.turn === turn && item.hook && item.hook.life === life);
        context.strokeStyle = context.fillStyle = colours.bronze;
        context.lineWidth = 3;
        if (served && served.x > x + 4) stroke(context, [], x, served.x, y + LANE / 2);
        const since = wait ? this.maybeSince(model, turn, life) : null;
        if (since !== null) stroke(context, [3, 4], since, x, y + LANE / 2);
      }
    }
    this.drawQueued(context, colours, lanes);
  }

  // From outside it is known when a connection came into the accept queue: the line ends where it is accepted.
  drawQueued(context, colours, lanes) {
    const { model } = this.player;
    for (const { life, y } of lanes) {
      const one = model.recording.queued.find(({ address }) => address === life.peer);
      if (!one || life.origin !== 1) continue;
      context.strokeStyle = colours.bronze;
      context.lineWidth = 3;
      stroke(context, [], this.xOf(one.since), this.xOf(one.until), y + LANE / 2);
    }
  }

  // The place of a time between the items of the picture.
  xOf(time) {
    const item = [...this.items].reverse().find((one) => one.began <= time) || this.items[0];
    const long = (item.ended ?? item.began) - item.began, share = long > 0 ? Math.min(1, Math.max(0, time - item.began) / long) : 0;
    return item.x + item.width * share;
  }

  // Where a slow hook of the turn before begins, or what this channel did after it ends; null if there was none.
  maybeSince(model, turn, life) {
    const before = this.items.filter((one) => one.hook && one.turn.at === turn.at - 1);
    const slow = before.find((one) => one.hook.length >= 1e6 && model.cameDuring(one.hook, turn)
      && model.behind(one.hook).includes(life));
    if (!slow) return null;
    return Math.max(slow.x, ...before.filter((one) => one.hook.life === life).map((one) => one.x + one.width));
  }

  drawItem(context, colours, item, lanes) {
    const top = TURN_ROW + NOTE_ROW + 2, tall = LOOP_ROW - 4;
    context.textAlign = "center";
    if (item.gap) {
      context.fillStyle = colours.work;
      context.fillRect(item.x, top, item.width, tall);
    } else if (!item.hook) {
      context.fillStyle = colours.wait;
      context.fillRect(item.x, top, item.width, tall);
      this.inside(context, colours.ink, duration(item.turn.turned - item.turn.began), item, top + 15);
    } else {
      const lane = lanes.find((one) => one.life === item.hook.life);
      context.fillStyle = colours[colourOf(item.hook)];
      context.fillRect(item.x, top, item.width, tall);
      this.inside(context, colours.paper, duration(item.length), item, top + 15);
      if (lane) {
        context.fillStyle = colours[colourOf(item.hook)];
        context.fillRect(item.x, lane.y + 2, item.width, LANE - 5);
        this.inside(context, colours.paper, item.hook.name.replace(/^handle_|_handler$/, ""), item, lane.y + 14);
      }
    }
    context.textAlign = "left";
  }

  inside(context, colour, text, item, y) {
    font(context, 11, 500);
    if (context.measureText(text).width > item.width - 4) return;
    context.fillStyle = colour;
    context.fillText(text, item.x + item.width / 2, y);
  }

  drawNote(context, colours, item, width) {
    const text = item.hook.length >= 1e6 ? behindNote(this.player.model, item.hook) : "";
    if (!text) return;
    font(context, 11, 600);
    context.fillStyle = item.hook.length >= SLOW ? colours.alarm : colours.soft;
    const last = width - context.measureText(text).width - 2;
    context.fillText(text, Math.max(this.gutter + 2, Math.min(item.x, last)), TURN_ROW + NOTE_ROW - 3);
  }

  // Where the loop is: at the beginning of a wait or a hook, at its end, or inside.
  drawHead(context, colours, width, height) {
    const at = this.player.at, item = this.items.find((one) => at >= one.record && at <= one.last);
    if (!item) return;
    const share = item.last > item.record ? (at - item.record) / (item.last - item.record) : 0;
    const x = item.x + item.width * share;
    if (this.player.hidesFuture()) {
      context.fillStyle = colours.panel;
      context.fillRect(x, 0, width, height);
      font(context, 30, 600);
      context.fillStyle = colours.soft;
      context.fillText("?", x + 26, height / 2 + 10);
    }
    context.fillStyle = colours.ink;
    context.fillRect(x - 1, TURN_ROW, 2, height);
    context.beginPath();
    context.arc(x, TURN_ROW, 4, 0, 7);
    context.fill();
  }
}

function stroke(context, dashes, from, to, y) {
  context.setLineDash(dashes);
  context.beginPath();
  context.moveTo(from, y);
  context.lineTo(to, y);
  context.stroke();
  context.setLineDash([]);
}
