// knit-serve: the files of a folder over HTTP, and a page that shows what the loops do.
#include <knit/http.hpp>
#include <knit/knit.hpp>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>
#include <utility>

#include "secure.hpp"
#include "support/args.hpp"

namespace {

using knit::Coro;
using namespace std::chrono_literals;

constexpr char kUsage[] =
    "usage: knit-serve [--folder DIR (default: the current one)] [--host ADDRESS (default 127.0.0.1)]\n"
    "                  [--port N (default 8080; 0: any)] [--loops N (default: one for each CPU)]\n"
    "                  [--cert FILE --key FILE (PEM): HTTPS] [--access-log FILE] [--no-list] [--max-connections N]\n"
    "                  [--http1: no HTTP/2]\n"
    "Serves the folder's files. /.knit/ is a page with bars of the loops, /.knit/metrics is Prometheus's text,\n"
    "/.knit/metrics.json JSON, /.knit/echo a WebSocket that echoes.\n"
    "Prints \"listening PORT\"; SIGTERM or SIGINT ends it, requests first.";

constexpr std::string_view kPage = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>knit: loops</title><style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em; max-width: 60em }
.loop { display: grid; grid-template-columns: 5em 1fr 5em 22em; gap: .8em; align-items: center; margin: .3em 0 }
.bar { background: #ddd; height: 1.1em; border-radius: 3px; overflow: hidden }
.bar div { background: #2a7; height: 100%; width: 0; transition: width .2s }
.number { text-align: right; font-variant-numeric: tabular-nums }
</style></head><body>
<h1>knit</h1><p id="head">connecting ...</p><div id="loops"></div>
<script>
let last = null;
const loops = document.getElementById("loops");
const row = () => {
  const line = document.createElement("div");
  line.className = "loop";
  line.innerHTML = "<span></span><div class=bar><div></div></div><span class=number></span><span class=number></span>";
  loops.append(line);
  return line;
};
const show = (now) => {
  document.getElementById("head").textContent =
    `up ${now.uptime_seconds.toFixed(0)} s, ${now.tasks} tasks, ${now.loops.length} loops`;
  now.loops.forEach((loop, index) => {
    const line = loops.children[index] || row();
    const before = last ? last.loops[index] : loop;
    const seconds = last ? now.uptime_seconds - last.uptime_seconds : 1;
    const busy = Math.min(1, Math.max(0, (loop.busy_seconds - before.busy_seconds) / seconds));
    line.children[0].textContent = "loop " + loop.loop;
    line.children[1].firstChild.style.width = (busy * 100).toFixed(1) + "%";
    line.children[2].textContent = (busy * 100).toFixed(1) + " %";
    line.children[3].textContent =
      `${((loop.steps - before.steps) / seconds).toFixed(0)} steps/s, ` +
      `${((loop.operations_ended - before.operations_ended) / seconds).toFixed(0)} operations/s`;
  });
  last = now;
};
const source = new EventSource("events");
source.onmessage = (event) => show(JSON.parse(event.data));
source.onerror = () => { document.getElementById("head").textContent = "the server does not answer"; };
</script></body></html>
)";

Coro<> send_events(knit::http::BodyWriter& writer) {
    for (;;) {
        const std::string event = "data: " + knit::to_json(knit::get_runtime().metrics()) + "\n\n";
        co_await writer.write(event);
        co_await knit::sleep(500ms);
    }
}

Coro<knit::http::Response> page(knit::http::Request&) {
    co_return knit::http::Response::literal(kPage, "text/html; charset=utf-8");
}

Coro<knit::http::Response> events(knit::http::Request&) {
    co_return knit::http::Response::stream(send_events).content_type("text/event-stream")
        .header("Cache-Control", "no-store");
}

Coro<knit::http::Response> prometheus(knit::http::Request&) {
    co_return knit::http::Response::text(knit::to_prometheus(knit::get_runtime().metrics()))
        .content_type("text/plain; version=0.0.4");
}

Coro<knit::http::Response> json(knit::http::Request&) {
    co_return knit::http::Response::json(knit::to_json(knit::get_runtime().metrics()));
}

Coro<> echo(knit::http::WebSocket& socket) {
    for (;;) {
        Coro<knit::http::WebSocketMessage> receiving = socket.receive();
        const knit::http::WebSocketMessage message = co_await std::move(receiving);
        if (message.type == knit::http::WebSocketMessage::Type::close) {
            co_return;
        }
        const bool is_text = message.type == knit::http::WebSocketMessage::Type::text;
        Coro<> sending = is_text ? socket.send_text(message.data) : socket.send_binary(message.data);
        co_await std::move(sending);
    }
}

Coro<knit::http::Response> echo_socket(knit::http::Request& request) {
    knit::http::WebSocketOptions options;
    options.heartbeat = 30s;  // a browser whose network is gone says nothing
    co_return knit::http::websocket(request, echo, options);
}

struct Settings {
    std::string folder;
    std::string host;
    long port = 0;
    std::string certificate;
    std::string key;
    std::string access_log;
    bool lists_folders = true;
    std::size_t max_connections = 0;
    bool http2 = true;
};

Coro<> serve(const Settings& settings) {
    knit::http::Router router;
    router.get("/.knit/", page).get("/.knit/events", events);
    router.get("/.knit/metrics", prometheus).get("/.knit/metrics.json", json);
    router.get("/.knit/echo", echo_socket);
    if (!settings.access_log.empty()) {
        Coro<knit::http::AccessLog> opening = knit::http::AccessLog::open(settings.access_log);
        router.access_log(co_await std::move(opening));
    }
    knit::http::StaticOptions files;
    files.lists_folders = settings.lists_folders;
    router.files("/", settings.folder, files);
    knit::http::ServerOptions options;
    options.shutdown_timeout = 2s;
    options.max_connections = settings.max_connections;
    options.http2 = settings.http2;
    const knit::io::Endpoint endpoint(settings.host, settings.port);
    Coro<knit::http::Server> starting =
        settings.certificate.empty() ? knit::http::serve(endpoint, router, options)
                                     : serve_securely(endpoint, router, options, settings.certificate, settings.key);
    knit::http::Server server = co_await std::move(starting);
    std::printf("listening %u\n", static_cast<unsigned>(server.local_endpoint().port()));
    std::fflush(stdout);
    co_await server.serve_forever();
}

}  // namespace

int main(int argc, char** argv) {
    bench::Args args(argc, argv, kUsage);
    Settings settings;
    settings.folder = args.text("--folder", ".");
    settings.host = args.text("--host", "127.0.0.1");
    settings.port = static_cast<long>(args.number("--port", 8080, 0, 65535));
    settings.certificate = args.text("--cert", "");
    settings.key = args.text("--key", "");
    if (settings.certificate.empty() != settings.key.empty()) {
        std::fprintf(stderr, "error: --cert and --key go together; a file that has both is named twice\n%s\n", kUsage);
        return 2;
    }
    settings.access_log = args.text("--access-log", "");
    settings.lists_folders = !args.flag("--no-list");
    settings.max_connections = args.number("--max-connections", 0);
    settings.http2 = !args.flag("--http1");
    knit::RunOptions options;
    options.loops = static_cast<unsigned>(args.number("--loops", 0, 0, 1024));
    options.shutdown_signals = {SIGINT, SIGTERM};
    args.finish();
    try {
        knit::run(serve(settings), options);
    } catch (const knit::CancelledError&) {
        return 0;  // one of the shutdown signals
    } catch (const std::exception& error) {
        std::fprintf(stderr, "knit-serve: %s\n", error.what());
        return 1;
    }
}
