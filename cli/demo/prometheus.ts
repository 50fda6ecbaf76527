import express, { type Request } from "express";
import { listen, type ListeningServer } from "../../lib/http.ts";
import type { Clock } from "../../lib/clock.ts";
import type { DemoSeries } from "./scenario.ts";

/** Prometheus' own limit of points per series and answer. */
const POINTS_MAX = 11_000;

/**
 * The part of Prometheus' HTTP API that the detector uses, on a scenario's series. A query is the name of a recording rule.
 * Like the real one it knows nothing of the future.
 */
export async function startDemoPrometheus(
  series: readonly DemoSeries[],
  clock: Clock,
): Promise<ListeningServer> {
  const app = express();
  app.use(express.urlencoded({ extended: false }));
  app.all("/api/v1/query_range", (request, response) => {
    const { query, start, end, step } = parametersOf(request);
    const times = timesOf(
      Number(start),
      Math.min(Number(end), clock.now().getTime() / 1000),
      Number(step),
    );
    if (times.length > POINTS_MAX) {
      response
        .status(400)
        .json(
          failure("bad_data", `exceeded maximum resolution of ${POINTS_MAX} points per timeseries`),
        );
      return;
    }
    const result = matching(series, query).map((one) => ({
      metric: { __name__: one.query, ...one.labels },
      values: times.map((time) => [time, valueText(one, time)]),
    }));
    response.json(success("matrix", times.length === 0 ? [] : result));
  });
  app.all("/api/v1/query", (request, response) => {
    const { query, time } = parametersOf(request);
    const now = clock.now().getTime() / 1000;
    const at = time === "" ? now : Math.min(Number(time), now);
    const result = matching(series, query).map((one) => ({
      metric: { __name__: one.query, ...one.labels },
      value: [at, valueText(one, at)],
    }));
    response.json(success("vector", result));
  });
  return listen(app, { host: "127.0.0.1", port: 0 });
}

function parametersOf(request: Request) {
  const given = { ...(request.query as object), ...(request.body as object | undefined) } as Record<
    string,
    string
  >;
  return {
    query: given["query"] ?? "",
    start: given["start"] ?? "",
    end: given["end"] ?? "",
    step: given["step"] ?? "60",
    time: given["time"] ?? "",
  };
}

function timesOf(start: number, end: number, step: number): readonly number[] {
  if (!(step > 0) || !(end >= start)) return [];
  return Array.from(
    { length: Math.floor((end - start) / step) + 1 },
    (_, index) => start + index * step,
  );
}

function matching(series: readonly DemoSeries[], query: string): readonly DemoSeries[] {
  return series.filter((one) => one.query === query);
}

function valueText(series: DemoSeries, seconds: number): string {
  return String(series.valueAt(new Date(seconds * 1000)));
}

function success(resultType: string, result: readonly object[]): object {
  return { status: "success", data: { resultType, result } };
}

function failure(errorType: string, error: string): object {
  return { status: "error", errorType, error };
}
