// A program with the Go SDK: one trace of two spans, three kinds of metric, one log record in the
// trace. Where it sends to comes from OTEL_EXPORTER_OTLP_ENDPOINT. It prints its trace id.
package main

import (
	"context"
	"fmt"
	"log"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func main() {
	ctx := context.Background()
	traceExporter, err := otlptracegrpc.New(ctx)
	check(err)
	metricExporter, err := otlpmetricgrpc.New(ctx)
	check(err)
	logExporter, err := otlploggrpc.New(ctx)
	check(err)
	traces := sdktrace.NewTracerProvider(sdktrace.WithBatcher(traceExporter))
	exponential := sdkmetric.NewView(
		sdkmetric.Instrument{Name: "go.native"},
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationBase2ExponentialHistogram{MaxSize: 160, MaxScale: 20}},
	)
	metrics := sdkmetric.NewMeterProvider(
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(metricExporter)),
		sdkmetric.WithView(exponential),
	)
	logs := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(logExporter)))

	ctx, parent := traces.Tracer("goclient").Start(ctx, "go parent")
	inner, child := traces.Tracer("goclient").Start(ctx, "go child")
	child.SetAttributes(attribute.Int("answer", 42), attribute.StringSlice("list", []string{"a", "b"}))

	meter := metrics.Meter("goclient")
	requests, err := meter.Int64Counter("go.requests", metric.WithUnit("{request}"))
	check(err)
	requests.Add(inner, 7, metric.WithAttributes(attribute.String("route", "/go")))
	duration, err := meter.Float64Histogram("go.duration", metric.WithUnit("s"))
	check(err)
	duration.Record(inner, 0.25)
	native, err := meter.Float64Histogram("go.native", metric.WithUnit("By"))
	check(err)
	native.Record(inner, 1024)

	var record otellog.Record
	record.SetBody(attribute.StringValue("served from go"))
	record.SetSeverity(otellog.SeverityWarn)
	record.AddAttributes(attribute.String("route", "/go"))
	logs.Logger("goclient").Emit(inner, record)

	child.End()
	parent.End()
	check(traces.Shutdown(ctx))
	check(metrics.Shutdown(ctx))
	check(logs.Shutdown(ctx))
	fmt.Println(parent.SpanContext().TraceID())
}
