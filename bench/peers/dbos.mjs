// DBOS on PostgreSQL: a workflow of n durable steps. BENCH_DATABASE_URL: the server of the driver.
import { DBOS } from "@dbos-inc/dbos-sdk";
import { steps, serve } from "./commands.mjs";

DBOS.setConfig({
  name: "bench",
  systemDatabaseUrl: process.env.BENCH_DATABASE_URL,
  systemDatabasePoolSize: 32,
  logLevel: "error",
  runAdminServer: false,
});

const chain = DBOS.registerWorkflow(async (n) => {
  let last = 0;
  for (let i = 0; i < n; i++) last = await DBOS.runStep(async () => i, { name: `s${i}` });
  return last;
}, { name: "chain" });

await DBOS.launch();

await serve({
  steps: (runs, seconds) => steps(runs, seconds, (n) => chain(n)),
  goback: async (count, backTo) => {
    const handle = await DBOS.startWorkflow(chain)(count);
    await handle.getResult();
    const begin = performance.now();
    const fork = await DBOS.forkWorkflow(handle.workflowID, backTo);
    const returned = performance.now();
    await fork.getResult();
    return { returns_ms: returned - begin, end_ms: performance.now() - begin };
  },
});
await DBOS.shutdown();
process.exit(0);
