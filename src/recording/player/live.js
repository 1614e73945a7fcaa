// A page that its program serves shows the recording as it grows, and tells the program to step, run or pause.

class Live {
  constructor(panel, scenarios, receive) {
    Object.assign(this, { panel, receive, busy: false, again: false });
    this.said = panel.querySelector("#live-said");
    panel.hidden = false;
    for (const button of panel.querySelectorAll("[data-live]"))
      button.addEventListener("click", () => this.post("control", button.dataset.live));
    this.offer(scenarios);
    this.listen();
    this.load();
  }

  listen() {
    const events = new EventSource("events");
    events.addEventListener("recording", () => this.load());
    events.addEventListener("message", (event) => event.data === "recording" && this.load());
    events.addEventListener("sent", (event) => this.tellSent(event.data));
    events.addEventListener("over", () => {
      this.said.textContent = word("live.lost");
      events.close();
    });
    events.addEventListener("open", () => { this.said.textContent = ""; });
    events.addEventListener("error", () => { this.said.textContent = word("live.lost"); });
  }

  tellSent(text) {
    const { scenario, failures } = JSON.parse(text);
    this.said.textContent = failures.length ? word("live.failed", scenario, failures.join("; ")) : word("live.sent", scenario);
  }

  async offer(scenarios) {
    let all = scenarios;
    if (!all.length) {
      const answer = await fetch("scenarios").catch(() => null);
      all = answer && answer.ok ? await answer.json() : [];
    }
    const place = this.panel.querySelector("#send");
    place.hidden = !all.length;
    for (const one of all) {
      const { name, about } = typeof one === "string" ? { name: one } : one;
      const send = () => this.post("send", name);
      place.append(make("button", { type: "button", title: about || false, click: send }, name.replace(/_/g, " ")));
    }
  }

  async post(where, body) {
    const answer = await fetch(where, { method: "POST", body }).catch(() => null);
    if (!answer) this.said.textContent = word("live.lost");
    else if (!answer.ok) this.said.textContent = (await answer.text()).trim();
  }

  // While one recording is on its way, all news together ask for one more.
  async load() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    do {
      this.again = false;
      const answer = await fetch("recording", { cache: "no-store" }).catch(() => null);
      if (answer && answer.ok) this.receive(new Uint8Array(await answer.arrayBuffer()));
    } while (this.again);
    this.busy = false;
  }
}
