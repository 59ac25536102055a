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

async function main() {
  const [standalone, cluster] = process.argv.slice(2).map((a) => a.split(":"));
  const one = new Redis(Number(standalone[1]), standalone[0], { db: 5 });
  await everyday(one, "one");
  const seen = new Set();
  for await (const keys of one.scanStream({ match: "one:*", count: 5 })) keys.forEach((k) => seen.add(k));
  must("SCAN", seen.size, 12);
  must("DBSIZE", await one.dbsize(), 32);
  await one.quit();
  const many = new Redis.Cluster([{ host: cluster[0], port: Number(cluster[1]) }]);
  await everyday(many, "many");
  must("masters", many.nodes("master").length, 3);
  await many.quit();
  console.log("ok");
}

main().catch((e) => {
  console.error(e);
  process.exit(1);
});
