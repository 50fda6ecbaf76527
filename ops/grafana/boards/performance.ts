import { graph, sqlTable, stat, type Board } from "../panels.ts";

export const apiPerformance: Board = {
  name: "api-performance",
  title: "Fettle - API performance",
  rows: {
    "All services": [
      graph("Requests a second", [
        ["sum by (service) (rate(fettle_http_requests_total[$__rate_interval]))", "{{service}}"],
      ]),
      graph(
        "Errors of ours",
        [
          [
            `(sum by (service) (rate(fettle_http_requests_total{status=~"5.."}[$__rate_interval]))
                 or 0 * sum by (service) (rate(fettle_http_requests_total[$__rate_interval])))
               / sum by (service) (rate(fettle_http_requests_total[$__rate_interval]))`,
            "{{service}}",
          ],
        ],
        { unit: "percentunit", min: 0 },
      ),
    ],
    Latency: [
      graph(
        "95th percentile",
        [
          [
            "histogram_quantile(0.95, sum by (service, le) (rate(fettle_http_request_duration_seconds_bucket[$__rate_interval])))",
            "{{service}}",
          ],
        ],
        { unit: "s" },
      ),
      graph(
        "Slowest routes (mean)",
        [
          [
            `topk(10, sum by (service, route) (rate(fettle_http_request_duration_seconds_sum[$__rate_interval]))
               / (sum by (service, route) (rate(fettle_http_request_duration_seconds_count[$__rate_interval])) > 0))`,
            "{{service}} {{route}}",
          ],
        ],
        { unit: "s" },
      ),
    ],
    "The platform's API": [
      stat("Requests", "sum(arm_hypervisor_http_requests_total)"),
      stat("Errors", "sum(arm_hypervisor_http_errors_total)"),
      graph("By status", [
        ["sum by (status) (rate(fettle_http_requests_total[$__rate_interval]))", "{{status}}"],
      ]),
      graph("Logins", [
        ["sum by (result) (increase(arm_hypervisor_logins_total[$__rate_interval]))", "{{result}}"],
        ["sum(increase(arm_hypervisor_refresh_reused_total[$__rate_interval]))", "reused refresh"],
      ]),
      graph("Refused requests", [
        ["sum by (status) (increase(arm_hypervisor_denied_total[$__rate_interval]))", "{{status}}"],
      ]),
      graph("Operations that ended", [
        [
          "sum by (kind, result) (increase(arm_hypervisor_operations_ended_total[$__rate_interval]))",
          "{{kind}} {{result}}",
        ],
      ]),
    ],
  },
};

export const databasePerformance: Board = {
  name: "database-performance",
  title: "Fettle - Database performance",
  rows: {
    "Connections and transactions": [
      sqlTable(
        "Who is connected",
        `SELECT application_name, state, wait_event_type, count(*) AS connections,
           max(now() - xact_start) AS oldest_transaction
         FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1, 2, 3 ORDER BY connections DESC`,
      ),
      sqlTable(
        "Since the statistics began",
        `SELECT numbackends, xact_commit, xact_rollback, deadlocks, conflicts, temp_bytes,
           round(blks_hit * 100.0 / nullif(blks_hit + blks_read, 0), 2) AS cache_hit_percent, stats_reset
         FROM pg_stat_database WHERE datname = current_database()`,
      ),
    ],
    Tables: [
      sqlTable(
        "Largest tables",
        `SELECT relname, n_live_tup, n_dead_tup, pg_total_relation_size(relid) AS bytes, seq_scan, idx_scan, last_autovacuum
         FROM pg_stat_user_tables ORDER BY pg_total_relation_size(relid) DESC LIMIT 30`,
      ),
      sqlTable(
        "Locks that wait",
        `SELECT a.pid, a.application_name, a.wait_event, now() - a.query_start AS waits, left(a.query, 120) AS query
         FROM pg_stat_activity a WHERE a.wait_event_type = 'Lock' ORDER BY waits DESC LIMIT 20`,
      ),
    ],
    "As the services see it": [
      graph("Writable", [["min by (instance) (runbooks_database_writable)", "{{instance}}"]], {
        min: 0,
        max: 1,
      }),
      graph(
        "Clock against the database's",
        [["max by (instance) (runbooks_clock_skew_seconds)", "{{instance}}"]],
        {
          unit: "s",
        },
      ),
    ],
  },
};

export const cachePerformance: Board = {
  name: "cache-performance",
  title: "Fettle - Cache performance",
  rows: {
    "Redis (redis_exporter)": [
      stat("Up", "min(redis_up)", { warn: 1, bad: 0.5 }),
      stat("Memory", "sum(redis_memory_used_bytes)", { unit: "bytes" }),
      graph(
        "Hits of lookups",
        [
          [
            `rate(redis_keyspace_hits_total[$__rate_interval])
             / (rate(redis_keyspace_hits_total[$__rate_interval]) + rate(redis_keyspace_misses_total[$__rate_interval]) > 0)`,
            "{{instance}}",
          ],
        ],
        { unit: "percentunit", max: 1 },
      ),
      graph("Commands a second", [
        ["sum(rate(redis_commands_processed_total[$__rate_interval]))", "commands"],
      ]),
      graph("Clients", [["sum(redis_connected_clients)", "connected"]]),
    ],
  },
};

export const userActivity: Board = {
  name: "user-activity",
  title: "Fettle - User activity",
  rows: {
    People: [
      sqlTable(
        "Who did what",
        `SELECT actor, event, count(*) AS times, max(ts) AS last
         FROM runbooks_audit WHERE actor <> 'fettle' AND $__timeFilter(ts)
         GROUP BY 1, 2 ORDER BY last DESC LIMIT 200`,
      ),
      sqlTable(
        "Votes",
        `SELECT at, person, verdict, via, reason, approval_id FROM approval_votes
         WHERE $__timeFilter(at) ORDER BY at DESC LIMIT 200`,
      ),
    ],
    "The platform's API": [
      sqlTable(
        "Operations",
        `SELECT ts, actor, event, target, detail->>'result' AS result, detail->>'ip' AS ip, correlation_id
         FROM runbooks_audit WHERE detail ? 'resource_type' AND $__timeFilter(ts) ORDER BY id DESC LIMIT 200`,
      ),
      graph("Refused", [
        [
          'sum by (service, status) (rate(fettle_http_requests_total{status=~"401|403"}[$__rate_interval]))',
          "{{service}} {{status}}",
        ],
      ]),
    ],
  },
};

export const systemResources: Board = {
  name: "system-resources",
  title: "Fettle - System resources",
  rows: {
    "The host": [
      graph("Load", [
        ["arm_hypervisor_system_load_1min", "1 m"],
        ["arm_hypervisor_system_load_5min", "5 m"],
        ["arm_hypervisor_system_load_15min", "15 m"],
        ["arm_hypervisor_cpu_count", "CPUs"],
      ]),
      graph(
        "Memory",
        [
          ["arm_hypervisor_memory_used_bytes", "used"],
          ["arm_hypervisor_memory_total_bytes", "there is"],
        ],
        { unit: "bytes", min: 0 },
      ),
      graph(
        "Disk",
        [
          ["arm_hypervisor_disk_used_bytes", "used"],
          ["arm_hypervisor_disk_total_bytes", "there is"],
        ],
        { unit: "bytes", min: 0 },
      ),
      stat("Runs since", "arm_hypervisor_uptime_seconds", { unit: "s" }),
    ],
    "Fettle's processes": [
      graph("CPU", [
        ["rate(process_cpu_seconds_total[$__rate_interval])", "{{service}} {{instance}}"],
      ]),
      graph("Memory", [["process_resident_memory_bytes", "{{service}} {{instance}}"]], {
        unit: "bytes",
      }),
      graph(
        "Event loop, 99 % within",
        [["nodejs_eventloop_lag_p99_seconds", "{{service}} {{instance}}"]],
        { unit: "s" },
      ),
      graph("Open files", [["process_open_fds", "{{service}} {{instance}}"]]),
    ],
  },
};
