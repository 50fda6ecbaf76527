import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";

export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
}

interface TracesBody {
  readonly resourceSpans: readonly {
    readonly resource: {
      readonly attributes: readonly {
        readonly key: string;
        readonly value: { readonly stringValue?: string };
      }[];
    };
    readonly scopeSpans: readonly { readonly spans: readonly Span[] }[];
  }[];
}

/** A collector that keeps the spans it gets (OTLP over HTTP, JSON). */
export async function startOtlpCollector(): Promise<{
  url: string;
  spans: readonly Span[];
  /** Whose the spans are, in the order of their coming, as `key=value` of each attribute. */
  resources: readonly (readonly string[])[];
  stop: () => Promise<void>;
}> {
  const spans: Span[] = [];
  const resources: string[][] = [];
  const server = createServer((request, response) => {
    void json(request).then((body) => {
      const { resourceSpans } = body as TracesBody;
      spans.push(
        ...resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap((scope) => scope.spans)),
      );
      for (const { resource } of resourceSpans)
        resources.push(
          resource.attributes.map(({ key, value }) => `${key}=${value.stringValue ?? ""}`),
        );
      response.setHeader("content-type", "application/json").end("{}");
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    spans,
    resources,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}
