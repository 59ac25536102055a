// Every kind of job that BullMQ has, until it is finished.
//
//   node jobs.js standalone|cluster HOST:PORT [jobs [kind,kind …]]
//
// On the standalone listener the keys have BullMQ's own names, without hash tags:
// each of its scripts then works on keys of several partitions.
const { FlowProducer, Queue, QueueEvents, Worker } = require("bullmq");
const Redis = require("ioredis");

const [mode, address, size, only] = process.argv.slice(2);
const [host, port] = address.split(":");
const jobs = Number(size || 300);
const prefix = mode === "cluster" ? "{bull}" : "bull";
const patience = 120_000;
const open = []; // what must be closed, the newest first

function connect() {
  const c = mode === "cluster"
    ? new Redis.Cluster([{ host, port: Number(port) }], { redisOptions: { maxRetriesPerRequest: null } })
    : new Redis(Number(port), host, { maxRetriesPerRequest: null });
  c.on("error", (e) => console.error("connection:", e.message));
  open.unshift(() => c.disconnect());
  return c;
}

function keep(x) {
  x.on("error", (e) => console.error(x.name || "flow", e.message));
  open.unshift(() => x.close());
  return x;
}

const shared = connect();
const queue = (name, more) => keep(new Queue(name, { connection: shared, prefix, ...more }));
const worker = (name, work, more) => keep(new Worker(name, work, { connection: connect(), prefix, drainDelay: 1, ...more }));
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function must(what, got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
  }
}

async function until(what, cond) {
  const end = Date.now() + patience;
  for (;;) {
    const missing = await cond();
    if (!missing) return;
    if (Date.now() > end) throw new Error(`${what}: ${missing}`);
    await sleep(25);
  }
}

// counts waits until a queue has exactly these jobs.
const counts = (what, q, want) => until(what, async () => {
  const got = await q.getJobCounts(...Object.keys(want));
  return Object.keys(want).every((k) => got[k] === want[k]) ? "" : JSON.stringify(got);
});

// many: jobs in bulk, several workers, events; each is done once.
async function many() {
  const q = queue("many"), events = keep(new QueueEvents("many", { connection: connect(), prefix }));
  await events.waitUntilReady();
  const done = new Map(), told = new Set();
  events.on("completed", ({ jobId }) => told.add(jobId));
  for (let i = 0; i < 3; i++) {
    worker("many", async (job) => {
      done.set(job.id, (done.get(job.id) || 0) + 1);
      await job.updateProgress(50);
      await job.log("half");
      return job.data.n * 2;
    }, { concurrency: 10 });
  }
  const added = await q.addBulk(Array.from({ length: jobs }, (_, n) => ({ name: "double", data: { n } })));
  await counts("many", q, { completed: jobs, failed: 0, active: 0, wait: 0 });
  must("ids", new Set(added.map((j) => j.id)).size, jobs);
  must("done twice", [...done].filter(([, n]) => n !== 1), []);
  must("done", done.size, jobs);
  await until("completed events", () => (told.size === jobs ? "" : String(told.size)));
  const one = await q.getJob(added[7].id);
  must("result", [one.returnvalue, one.progress, (await q.getJobLogs(one.id)).logs], [14, 50, ["half"]]);
  must("waiting for one", await (await q.add("double", { n: 21 })).waitUntilFinished(events, patience), 42);
}

// delayed: none is done before its time.
async function delayed() {
  const q = queue("delayed"), early = [], order = [];
  const base = Date.now() + 300;
  const added = await Promise.all([1500, 300, 900, 600, 1200].map((ms) => q.add("later", { ms }, { delay: ms, removeOnComplete: true })));
  await added[0].changeDelay(1800);
  worker("delayed", async (job) => {
    order.push(job.data.ms);
    if (Date.now() < base - 300 + job.data.ms) early.push(job.data.ms);
  });
  await until("delayed", () => (order.length === 5 ? "" : JSON.stringify(order)));
  must("delayed: order", order, [300, 600, 900, 1200, 1500]);
  must("delayed: too early", early, []);
  await counts("delayed: removed", q, { delayed: 0, completed: 0, wait: 0, active: 0 });
}

// repeated: by a scheduler, by a cron pattern, and of the old kind with a limit.
async function repeated() {
  const q = queue("repeated"), n = { every: 0, cron: 0, limited: 0 };
  worker("repeated", async (job) => { n[job.name]++; });
  await q.upsertJobScheduler("a", { every: 200 }, { name: "every", data: {} });
  await q.upsertJobScheduler("b", { pattern: "* * * * * *" }, { name: "cron", data: {} });
  await q.add("limited", {}, { repeat: { every: 150, limit: 4 } });
  await until("repeated", () => (n.every >= 6 && n.cron >= 2 && n.limited === 4 ? "" : JSON.stringify(n)));
  must("schedulers", (await q.getJobSchedulers()).map((s) => s.key).filter((k) => k.length === 1).sort(), ["a", "b"]);
  must("removed", [await q.removeJobScheduler("a"), await q.removeJobScheduler("b"), await q.removeJobScheduler("c")], [true, true, false]);
  await counts("repeated: none left", q, { delayed: 0, wait: 0, active: 0, failed: 0 });
  const then = n.every;
  await sleep(500);
  must("repeated after the end", [n.every, n.limited], [then, 4]);
}

// prioritized: in order of priority, and of arrival within one.
async function prioritized() {
  const q = queue("prioritized"), order = [];
  await q.pause();
  for (const p of [3, 1, 2, 3, 1, 2, 0]) await q.add("p", { p, i: order.length }, p ? { priority: p } : {});
  const last = await q.add("p", { p: 9 }, { priority: 9 });
  must("by priority", await q.getCountsPerPriority([0, 1, 2, 3, 9]), { 0: 1, 1: 2, 2: 2, 3: 2, 9: 1 });
  await last.changePriority({ priority: 1 });
  worker("prioritized", async (job) => { order.push(job.data.p); });
  await q.resume();
  await until("prioritized", () => (order.length === 8 ? "" : JSON.stringify(order)));
  must("prioritized: order", order, [0, 1, 1, 9, 2, 2, 3, 3]);
}

// flows: a parent waits for its children's results, over queues and generations.
async function flows() {
  const flow = keep(new FlowProducer({ connection: shared, prefix })), done = [];
  const parents = queue("parents");
  queue("children");
  worker("children", async (job) => { done.push(job.name); return job.data.n; }, { concurrency: 4 });
  let sums = 0;
  worker("parents", async (job) => {
    done.push(job.name);
    sums += Object.values(await job.getChildrenValues()).reduce((a, b) => a + b, 0);
    return sums;
  });
  const tree = await flow.add({
    name: "root", queueName: "parents",
    children: [
      { name: "mid", queueName: "parents", children: [1, 2, 3].map((n) => ({ name: "leaf", data: { n }, queueName: "children" })) },
      ...Array.from({ length: 20 }, (_, n) => ({ name: "leaf", data: { n }, queueName: "children", opts: { delay: n * 10 } })),
    ],
  });
  await until("flow", async () => ((await tree.job.isCompleted()) ? "" : JSON.stringify(done)));
  must("flow: jobs", [done.filter((d) => d === "leaf").length, done.at(-1), done.filter((d) => d === "mid").length], [23, "root", 1]);
  must("flow: sum", sums, 6 + 190 + 6);
  // A child that fails for good fails its parent.
  const bad = await flow.add({
    name: "root", queueName: "parents",
    children: [{ name: "never", queueName: "nobody", opts: { failParentOnFailure: true } }],
  });
  queue("nobody");
  worker("nobody", async () => { throw new Error("no"); });
  await until("flow: failure", async () => ((await bad.job.isFailed()) ? "" : await bad.job.getState()));
  await counts("flow: parents", parents, { "waiting-children": 0, active: 0, wait: 0, failed: 1, completed: 2 });
}

// limited: no more than five in half a second.
async function limited() {
  const q = queue("limited"), at = [];
  await q.addBulk(Array.from({ length: 23 }, (_, i) => ({ name: "l", data: { i } })));
  for (let i = 0; i < 2; i++) {
    worker("limited", async () => { at.push(Date.now()); }, { concurrency: 5, limiter: { max: 5, duration: 500 } });
  }
  await counts("limited", q, { completed: 23, wait: 0, delayed: 0, active: 0 });
  // The clock of a window starts at its first job; a job may be taken up at the end of
  // its window and be seen here in the next. So: never more than two windows' worth.
  at.sort((a, b) => a - b);
  for (let i = 0; i + 11 < at.length; i++) {
    if (at[i + 11] - at[i] < 400) throw new Error(`limited: 12 jobs in ${at[i + 11] - at[i]} ms`);
  }
  if (at.at(-1) - at[0] < 1800) throw new Error(`limited: 23 jobs in ${at.at(-1) - at[0]} ms`);
}

// failing: attempts with a wait between them, then retried by hand.
async function failing() {
  const q = queue("failing"), tries = {};
  worker("failing", async (job) => {
    tries[job.name] = (tries[job.name] || 0) + 1;
    if (job.name === "hopeless" && !job.data.healed) throw new Error("no");
    if (tries[job.name] < 3) throw new Error("not yet");
  }, { concurrency: 3 });
  const opts = { attempts: 4, backoff: { type: "exponential", delay: 50 } };
  await q.add("late", {}, opts);
  const hopeless = await q.add("hopeless", {}, opts);
  await counts("failing", q, { completed: 1, failed: 1, delayed: 0, active: 0 });
  must("tries", tries, { late: 3, hopeless: 4 });
  await hopeless.updateData({ healed: true });
  await (await q.getJob(hopeless.id)).retry();
  await counts("failing: retried", q, { completed: 2, failed: 0 });
}

// stalled: a worker that is lost with its job; another does it.
async function stalled() {
  const q = queue("stalled"), by = [];
  const opts = { lockDuration: 400, stalledInterval: 300 };
  let started;
  const begun = new Promise((done) => { started = done; });
  const lost = worker("stalled", async () => { by.push("lost"); started(); await sleep(1e9); }, { ...opts, lockRenewTime: 1e8 });
  await q.add("s", {});
  await begun;
  void lost;
  worker("stalled", async () => { by.push("heir"); }, opts);
  await counts("stalled", q, { completed: 1, active: 0, wait: 0 });
  must("stalled", by, ["lost", "heir"]);
}

// dropped: the same twice is one, the last comes first, a queue is emptied and undone.
async function dropped() {
  const q = queue("dropped"), order = [];
  await q.pause();
  const same = { deduplication: { id: "x" } };
  const first = await q.add("one", {}, same), second = await q.add("one", {}, same);
  must("the same twice", second.id, first.id);
  must("same id", (await q.add("two", {}, { jobId: "mine" })).id, (await q.add("two", {}, { jobId: "mine" })).id);
  await q.add("last", {}, { lifo: true });
  await (await q.add("gone", {})).remove();
  const w = worker("dropped", async (job) => { order.push(job.name); });
  await q.resume();
  await until("dropped", () => (order.length === 3 ? "" : JSON.stringify(order)));
  must("dropped: order", order, ["last", "one", "two"]);
  await w.close();
  await counts("dropped: all are finished", q, { completed: 3, active: 0, wait: 0 });
  await q.addBulk(Array.from({ length: 100 }, () => ({ name: "never", data: {} })));
  await q.drain();
  await counts("drained", q, { wait: 0, completed: 3 });
  must("cleaned", (await q.clean(0, 100, "completed")).length, 3);
  await q.addBulk(Array.from({ length: 100 }, () => ({ name: "never", data: {} })));
  await q.obliterate();
  if (mode !== "cluster") must("obliterated", await shared.keys(`${prefix}:dropped:*`), []);
}

async function main() {
  const kinds = { many, delayed, repeated, prioritized, flows, limited, failing, stalled, dropped };
  for (const [name, kind] of Object.entries(kinds)) {
    if (only && !only.split(",").includes(name)) continue;
    const start = Date.now();
    await kind();
    console.log(`${name}: ${Date.now() - start} ms`);
  }
  const enough = sleep(3_000); // the worker that is lost for good is not waited for
  for (const close of open) await Promise.race([Promise.resolve(close()).catch(() => {}), enough]);
  console.log("ok");
  process.exit(0);
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
