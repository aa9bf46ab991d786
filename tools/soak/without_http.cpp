#include "jobs.hpp"

namespace soak {

bool has_http() { return false; }

knit::Coro<> serve_http(Soak&, knit::Event& is_up, knit::Event& is_over) {
    is_up.set();
    co_await is_over.wait();
}

knit::Coro<> http_job(Soak&, std::uint64_t) { co_return; }

}  // namespace soak
