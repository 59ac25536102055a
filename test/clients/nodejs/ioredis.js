// What an application does with ioredis. Arguments: the address of a
// standalone listener, and that of a cluster listener.
const Redis = require("ioredis");

function must(what, got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(want)}`);
  }
}

async function everyday(client, name) {
  const key = (i) => `${name}:${i}`;
  for (let i = 0; i < 10; i++) must("SET", await client.set(key(i), i, "EX", 3600), "OK");
  for (let i = 0; i < 10; i++) must("GET", await client.get(key(i)), String(i));
  must("INCR", await client.incr(key("n")), 1);
  must("HSET", await client.hset(key("h"), { name: "ann", age: "7" }), 2);
  must("HGETALL", await client.hgetall(key("h")), { name: "ann", age: "7" });
  must("GETBUFFER", (await client.getBuffer(key(3))).toString(), "3");
  must("nothing", await client.get(key("none")), null);
  const error = await client.call("LPUSH", key(0), "x").then(() => "none", (e) => e.message);
  if (!/^(ERR|WRONGTYPE)/.test(error)) throw new Error("LPUSH on a string: " + error);
  const pipe = client.pipeline(); // of a cluster client: to one node only
  for (let i = 0; i < 20; i++) pipe.set(`{${name}}:${i}`, i);
  for (const [err, reply] of await pipe.exec()) must("pipeline", [err, reply], [null, "OK"]);
}

// together is what needs a session of its own, or keys of several partitions.
async function together(client, name, connect) {
  const k = (x) => `{${name}}${x}`; // of one slot, which a cluster client insists on
  must("MULTI", await client.multi().set(k("m"), "1").incr(k("m")).get(k("m")).exec(), [[null, "OK"], [null, 2], [null, "2"]]);
  client.defineCommand("addAll", { numberOfKeys: 2, lua: "for i = 1, #ARGV do redis.call('sadd', KEYS[1], ARGV[i]) end return redis.call('incrby', KEYS[2], #ARGV)" });
  must("defineCommand", [await client.addAll(k("s"), k("c"), "a", "b"), await client.addAll(k("s"), k("c"), "b")], [2, 3]);
  must("SMEMBERS", (await client.smembers(k("s"))).sort(), ["a", "b"]);
  const other = connect();
  const popped = other.blpop(k("empty"), k("q"), 20);
  await client.rpush(k("q"), "x");
  must("BLPOP", await popped, [k("q"), "x"]);
  const heard = [];
  const ready = new Promise((done) => other.on("message", (channel, text) => { heard.push([channel, text]); if (heard.length === 3) done(); }));
  await other.subscribe(k("news"));
  for (const n of "123") await client.publish(k("news"), n);
  await ready;
  must("messages", heard, [..."123"].map((n) => [k("news"), n]));
  await other.quit();
}

async function main() {
  const [standalone, cluster] = process.argv.slice(2).map((a) => a.split(":"));
  const one = new Redis(Number(standalone[1]), standalone[0], { db: 5 });
  await everyday(one, "one");
  const seen = new Set();
  for await (const keys of one.scanStream({ match: "one:*", count: 5 })) keys.forEach((k) => seen.add(k));
  must("SCAN", seen.size, 12);
  must("DBSIZE", await one.dbsize(), 32);
  await together(one, "t1", () => one.duplicate());
  // Without tags, and with a script that names no key.
  must("MSET", await one.mset("x", 1, "y", 2, "z", 3), "OK");
  must("EVAL", await one.eval("return redis.call('get', 'x') + redis.call('get', 'y') + redis.call('get', 'z')", 0), 6);
  await one.watch("x", "y");
  const another = one.duplicate();
  await another.set("y", 5);
  await another.quit();
  must("EXEC of what was changed", await one.multi().set("x", 9).exec(), null);
  await one.quit();
  const many = new Redis.Cluster([{ host: cluster[0], port: Number(cluster[1]) }]);
  await everyday(many, "many");
  await together(many, "t2", () => new Redis.Cluster([{ host: cluster[0], port: Number(cluster[1]) }]));
  must("masters", many.nodes("master").length, 3);
  await many.quit();
  console.log("ok");
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
