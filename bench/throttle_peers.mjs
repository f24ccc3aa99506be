// A process that `bench.throttle` measures: queued calls that do nothing, by a queue of npm's.
// node throttle_peers.mjs FOLDER FORM WAITING; prints the µs of CPU a call.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, form, count] = process.argv.slice(2);
const waiting = Number(count);
const find = createRequire(pathToFileURL(`${folder}/node_modules/`));
const load = async (name) => (await import(pathToFileURL(find.resolve(name)).href)).default;

const CONCURRENCY = 15;
const PLENTY = { interval: 60_000, intervalCap: 10_000_000 }; // what is measured is the queue, not a limit

async function pQueue(options) {
  const PQueue = await load("p-queue");
  return async () => {
    const queue = new PQueue({ concurrency: CONCURRENCY, autoStart: false, ...options });
    for (let i = 0; i < waiting; i++) queue.add(async () => {});
    queue.start();
    await queue.onIdle();
  };
}

async function bottleneck() {
  const Bottleneck = await load("bottleneck");
  return () => {
    const limiter = new Bottleneck({ maxConcurrent: CONCURRENCY });
    return Promise.all(Array.from({ length: waiting }, () => limiter.schedule(async () => {})));
  };
}

const FORMS = {
  "p-queue": () => pQueue({}),
  "p-queue-interval": () => pQueue(PLENTY),
  "p-queue-strict": () => pQueue({ ...PLENTY, strict: true }),
  bottleneck,
};

const through = await FORMS[form]();
const costs = [];
for (let turn = 0; turn < Math.max(2, 10_000 / waiting); turn++) {
  const before = process.cpuUsage();
  await through();
  const { user, system } = process.cpuUsage(before);
  costs.push((user + system) / waiting);
}
costs.sort((a, b) => a - b);
console.log(costs[Math.floor(costs.length / 2)]);
