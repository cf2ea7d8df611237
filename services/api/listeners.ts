import { type ApiDeps, createAdminApi, createApi, createPublicApi } from "./app.ts";
import { type ServeLimits, type Serving, serveApi } from "./server.ts";

export interface ListenOptions {
  readonly deps: ApiDeps;
  /** Default: loopback. */
  readonly host?: string;
  readonly port: number;
  /** A listener of their own for webhooks, to be the only thing that faces the internet; null: all on one. */
  readonly webhookPort: number | null;
  readonly limits?: Partial<ServeLimits>;
}

export interface Listening {
  readonly url: string;
  /** The same as `url` if there is one listener. */
  readonly webhookUrl: string;
  close(): Promise<void>;
}

/** One listener, or two. Rejects, with none left open, if one of the ports cannot be had. */
export async function serveListeners(options: ListenOptions): Promise<Listening> {
  const { deps, port, webhookPort, ...where } = options;
  if (webhookPort === null) {
    const { url, close } = await serveApi({ ...where, app: createApi(deps), port });
    return { url, webhookUrl: url, close };
  }
  const inner = await serveApi({ ...where, app: createAdminApi(deps), port });
  const outer = await orClose(inner, () =>
    serveApi({ ...where, app: createPublicApi(deps), port: webhookPort }),
  );
  return {
    url: inner.url,
    webhookUrl: outer.url,
    close: async () => {
      await Promise.all([inner.close(), outer.close()]);
    },
  };
}

async function orClose(first: Serving, start: () => Promise<Serving>): Promise<Serving> {
  try {
    return await start();
  } catch (error) {
    await first.close();
    throw error;
  }
}
