// Restate: a service whose handler does n durable steps (ctx.run). The server is started by the
// driver; addresses come from the environment.
import { steps, serve } from "./commands.mjs";

if (!Promise.withResolvers) { // Node 20 lacks what the SDK uses
  Promise.withResolvers = () => {
    let resolve, reject;
    const promise = new Promise((a, b) => { resolve = a; reject = b; });
    return { promise, resolve, reject };
  };
}
const restate = await import("@restatedev/restate-sdk");

const ingress = process.env.BENCH_INGRESS;
const admin = process.env.BENCH_ADMIN;
const port = Number(process.env.BENCH_SERVICE_PORT);

const service = restate.service({
  name: "bench",
  handlers: {
    chain: async (ctx, n) => {
      let last = 0;
      for (let i = 0; i < n; i++) last = await ctx.run(`s${i}`, () => i);
      return last;
    },
  },
});

await restate.serve({
  services: [service],
  port,
  bidirectional: true,
  logger: () => {},
});

async function request(url, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  const text = await answer.text();
  return text === "" ? null : JSON.parse(text);
}

const post = (url, body) => request(url, {
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify(body),
});

await post(`${admin}/deployments`, { uri: `http://127.0.0.1:${port}` });

await serve({
  steps: (runs, seconds) => steps(runs, seconds, (n) => post(`${ingress}/bench/chain`, n)),
  goback: async (count, backTo) => {
    const { invocationId } = await post(`${ingress}/bench/chain/send`, count);
    await request(`${ingress}/restate/invocation/${invocationId}/attach`);
    const begin = performance.now();
    // Journal entry 0 is the input; each step has two, the command and its result. Entries up to
    // `from` are kept: the result of the step before.
    const answer = await request(
      `${admin}/invocations/${invocationId}/restart-as-new?from=${2 * backTo}`,
      { method: "PATCH" });
    const returned = performance.now();
    await request(`${ingress}/restate/invocation/${answer.new_invocation_id}/attach`);
    return { returns_ms: returned - begin, end_ms: performance.now() - begin };
  },
});
process.exit(0);
