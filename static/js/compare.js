// Runs a comparison: asks its prompts, a few at a time, shows the answers as they come, and stops when told.
// The server streams events for each prompt (llm/compare/stream.py): round, words, answer, summary.

const AT_ONCE = 3;
let current = null;

class Run {
  constructor(section) {
    this.section = section;
    this.prompts = JSON.parse(section.querySelector("script").textContent);
    this.headers = JSON.parse(document.body.getAttribute("hx-headers"));
    this.leaving = new AbortController();
    this.next = 0;
    this.answered = 0;
    section.querySelector("[data-stop]").addEventListener("click", () => this.leaving.abort());
  }

  async go() {
    this.section.querySelector("h2").focus({ preventScroll: true });
    await Promise.all(Array.from({ length: AT_ONCE }, () => this.work()));
    const stopped = this.leaving.signal.aborted;
    this.section.querySelector("[data-stop]").remove();
    this.section.querySelector("[data-state]").textContent = stopped ? this.section.dataset.stopped : this.section.dataset.done;
  }

  async work() {
    while (this.next < this.prompts.length && !this.leaving.signal.aborted) {
      const number = this.next++;
      // Takes its place at once, so that rounds stand in the order of their prompts.
      const place = document.createElement("div");
      this.section.querySelector("#rounds").append(place);
      try {
        await this.ask(number, place);
        this.count();
      } catch {
        this.broken(number, place);
      }
    }
  }

  async ask(number, place) {
    const body = new FormData();
    body.set("number", number);
    body.set("prompt", this.prompts[number]);
    const { signal } = this.leaving;
    const answer = await fetch(this.section.dataset.ask, { method: "POST", headers: this.headers, body, signal });
    if (!answer.ok) {
      place.append(told(await answer.text()));
      return;
    }
    for await (const [name, data] of events(answer.body)) {
      if (name === "round") htmx.swap(place, data.html, { swapStyle: "outerHTML" });
      else if (name === "words") said(number, data.place).append(data.text);
      else {
        if (data.words) said(number, data.place).replaceChildren(told(data.words));
        htmx.swap(this.section, data.html, { swapStyle: "none" });
      }
    }
  }

  count() {
    this.answered += 1;
    this.section.querySelector("[data-progress]").textContent = this.answered;
    const meter = this.section.querySelector("progress");
    if (meter) meter.value = this.answered;
  }

  // Stopped or cut off: what came stays, and nothing waits any longer.
  broken(number, place) {
    const stopped = this.leaving.signal.aborted;
    const line = () => (stopped ? told(this.section.dataset.stopped, "stopped") : told(this.section.dataset.broken));
    if (place.isConnected) place.replaceChildren(line());
    for (const waiting of this.section.querySelectorAll(`[id^="foot-${number}-"] .answer-waits`)) {
      waiting.replaceWith(line());
    }
  }
}

function said(number, place) {
  return document.getElementById(`said-${number}-${place}`);
}

function told(text, kind = "failed") {
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = text;
  return line;
}

async function* events(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (held + value).split("\n\n");
    held = parts.pop();
    for (const part of parts) {
      const [name, data] = part.split("\n");
      yield [name.slice("event: ".length), JSON.parse(data.slice("data: ".length))];
    }
  }
}

htmx.onLoad((element) => {
  const section = element.closest("[data-run]") === element ? element : element.querySelector("[data-run]");
  if (!section || section === current?.section) return;
  current?.leaving.abort();
  // What was wrong with the form was mended.
  for (const line of document.querySelectorAll("#compare-form .error, #compare-form [role=alert]")) line.remove();
  current = new Run(section);
  current.go();
});
