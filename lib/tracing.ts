import { context, propagation, SpanStatusCode, trace, type Attributes } from "@opentelemetry/api";

/**
 * Spans over the OpenTelemetry API. Without an SDK (lib/otel.ts, loaded when an OTLP endpoint is set) all of it is a no-op.
 * A trace crosses a queue or a table as a W3C `traceparent` text.
 */
const tracer = trace.getTracer("fettle");

export async function inSpan<T>(
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  return tracer.startActiveSpan(name, { attributes }, async (span) => {
    try {
      return await work();
    } catch (error) {
      span.recordException(error instanceof Error ? error : String(error));
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** Continues the trace that a stored `traceparent` names; starts a new one when there is none. */
export async function inSpanFrom<T>(
  traceparent: string | undefined,
  name: string,
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  const parent =
    traceparent === undefined
      ? context.active()
      : propagation.extract(context.active(), { traceparent });
  return context.with(parent, () => inSpan(name, attributes, work));
}

/** The W3C traceparent of the running span, to be stored beside a piece of work; undefined without tracing. */
export function currentTraceparent(): string | undefined {
  const carrier: { traceparent?: string } = {};
  propagation.inject(context.active(), carrier);
  return carrier.traceparent;
}

export function currentTraceId(): string | undefined {
  return trace.getActiveSpan()?.spanContext().traceId;
}

/** Fields of a log line that let a log store and a trace store find each other. */
export function currentTraceIds(): { readonly trace_id?: string; readonly span_id?: string } {
  const span = trace.getActiveSpan()?.spanContext();
  return span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId };
}
