// What an application does with node-redis. Arguments: the address of a
// standalone listener, and that of a cluster listener.
const { createClient, createCluster, defineScript } = require("redis");

function must(what, got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
  }
}

const scripts = {
  addAll: defineScript({
    NUMBER_OF_KEYS: 2,
    SCRIPT: "for i = 1, #ARGV do redis.call('sadd', KEYS[1], ARGV[i]) end return redis.call('incrby', KEYS[2], #ARGV)",
    parseCommand(parser, set, count, ...members) {
      parser.pushKey(set);
      parser.pushKey(count);
      parser.push(...members);
    },
    transformReply: (reply) => reply,
  }),
};

async function everyday(client, name) {
  const k = (x) => `{${name}}${x}`;
  const keys = Array.from({ length: 20 }, (_, i) => `${name}:${i}`);
  await Promise.all(keys.map((key, i) => client.set(key, String(i), { EX: 3600 }))); // in one pipeline
  must("GET", await Promise.all(keys.map((key) => client.get(key))), keys.map((_, i) => String(i)));
  await client.hSet(k("h"), { name: "ann", age: "7" });
  must("HGETALL", { ...(await client.hGetAll(k("h"))) }, { name: "ann", age: "7" });
  must("ZRANGE", [await client.zAdd(k("z"), [{ score: 2, value: "b" }, { score: 1, value: "a" }]), await client.zRangeWithScores(k("z"), 0, -1)],
    [2, [{ value: "a", score: 1 }, { value: "b", score: 2 }]]);
  must("MULTI", await client.multi().set(k("m"), "1").incr(k("m")).get(k("m")).exec(), ["OK", 2, "2"]);
  must("a script", [await client.addAll(k("s"), k("c"), "a", "b"), await client.addAll(k("s"), k("c"), "b")], [2, 3]);
  const error = await client.lPush(`${name}:0`, "x").then(() => "none", (e) => e.message);
  if (!/^WRONGTYPE/.test(error)) throw new Error("LPUSH on a string: " + error);
  const id = await client.xAdd(k("x"), "*", { n: "1" });
  await client.xGroupCreate(k("x"), "g", "0");
  const read = await client.xReadGroup("g", "me", { key: k("x"), id: ">" }, { COUNT: 5 });
  if (!JSON.stringify(read).includes(id)) throw new Error("XREADGROUP: " + JSON.stringify(read)); // its shape is the protocol's
  must("XACK", await client.xAck(k("x"), "g", id), 1);
}

async function main() {
  const [standalone, cluster] = process.argv.slice(2);
  for (const RESP of [2, 3]) {
    const one = await createClient({ url: `redis://${standalone}/${5 + RESP}`, RESP, scripts }).connect();
    await everyday(one, "one");
    const blocked = await one.duplicate().connect();
    const popped = blocked.blPop(["empty", "elsewhere", "q"], 20); // in several partitions
    await one.rPush("q", "x");
    must("BLPOP", { ...(await popped) }, { key: "q", element: "x" });
    const heard = [];
    await new Promise(async (done) => {
      await blocked.pSubscribe(`news${RESP}:*`, (text, channel) => { heard.push(channel + text); if (heard.length === 3) done(); });
      for (const n of "123") await one.publish(`news${RESP}:x`, n);
    });
    must("messages", heard, [..."123"].map((n) => `news${RESP}:x${n}`));
    await blocked.close();
    await one.watch(["one:1", "one:2"]);
    const other = await one.duplicate().connect();
    await other.set("one:2", "5");
    const aborted = await one.multi().set("one:1", "9").exec().then(() => "run", (e) => e.constructor.name);
    must("EXEC of what was changed", aborted, "WatchError");
    let seen = 0;
    for await (const keys of one.scanIterator({ MATCH: "one:*", COUNT: 7 })) seen += keys.length;
    must("SCAN", seen, 20);
    if (RESP === 3) { // its cache lives by CLIENT TRACKING
      const near = await createClient({ url: `redis://${standalone}/8`, RESP: 3, clientSideCache: { maxEntries: 100 } }).connect();
      must("cached", [await near.get("one:3"), await near.get("one:3")], ["3", "3"]);
      await other.set("one:3", "new");
      for (let i = 0; (await near.get("one:3")) !== "new"; i++) {
        if (i > 200) throw new Error("the cache hears of no change");
        await new Promise((done) => setTimeout(done, 20));
      }
      await near.close();
    }
    await other.close();
    await one.close();
  }
  const many = await createCluster({ rootNodes: [{ url: `redis://${cluster}` }], scripts }).connect();
  await everyday(many, "many-n");
  must("masters", many.masters.length, 3);
  const heard = new Promise((done) => many.sSubscribe("{many-n}c", done));
  await new Promise((done) => setTimeout(done, 200));
  await many.sPublish("{many-n}c", "hi");
  must("a sharded message", await heard, "hi");
  await many.close();
  console.log("ok");
  process.exit(0);
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
