/// Router: which handler answers which request.
#pragma once

#include <concepts>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "knit/coro.hpp"
#include "knit/http/access_log.hpp"
#include "knit/http/request.hpp"
#include "knit/http/response.hpp"
#include "knit/http/static_files.hpp"

namespace knit::http {

/// What answers a request. Called on several loops at once.
using Handler = std::function<Coro<Response>(Request&)>;

namespace detail {

class RouterCore;

template <class F>
concept RequestHandler = std::is_invocable_r_v<Coro<Response>, F&, Request&>;

}  // namespace detail

/// Routes by method and path, aiohttp's way: a path is fixed, or has parts `{name}`, which stand for one part each, or
/// ends with `{name:.*}`, which stands for all the rest. Fixed paths come first, then the others in the order of their
/// adding. GET takes HEAD too. A router that serves is not changed any more: RuntimeError. 404 for a path that nobody
/// has, 405 with Allow for another method.
///
///     http::Router router;
///     router.get("/users/{id}", [](http::Request& request) -> knit::Coro<http::Response> {
///         co_return http::Response::text("user " + std::string(request.param("id")));
///     });
class Router {
public:
    Router();

    /// Any method for "*". ValueError for a path that does not begin with '/' or is wrongly written, for a method that
    /// is none, and when the same was added before.
    template <class F>
    Router& route(std::string_view method, std::string_view path, F handler) {
        static_assert(detail::RequestHandler<F>, "a handler is a function of a Request& that gives a Coro<Response>: "
                      "[](http::Request& request) -> knit::Coro<http::Response> { co_return ...; }");
        if constexpr (detail::RequestHandler<F>) {
            add(method, path, Handler(std::move(handler)));
        }
        return *this;
    }
    template <class F>
    Router& get(std::string_view path, F handler) {
        return route("GET", path, std::move(handler));
    }
    template <class F>
    Router& post(std::string_view path, F handler) {
        return route("POST", path, std::move(handler));
    }
    template <class F>
    Router& put(std::string_view path, F handler) {
        return route("PUT", path, std::move(handler));
    }
    template <class F>
    Router& patch(std::string_view path, F handler) {
        return route("PATCH", path, std::move(handler));
    }
    template <class F>
    Router& del(std::string_view path, F handler) {
        return route("DELETE", path, std::move(handler));
    }
    /// The files under `folder`, at paths that begin with `prefix`. ValueError when there is no such folder.
    Router& files(std::string_view prefix, const std::filesystem::path& folder, StaticOptions options = {});
    /// Around every handler of a route, the first added outermost: `wrap(request, handler)` awaits `handler(request)`
    /// or answers itself.
    Router& middleware(std::function<Coro<Response>(Request&, const Handler&)> wrap);

    /// Where a line for each request goes.
    Router& access_log(AccessLog log);

    /// knit's own use.
    std::shared_ptr<const detail::RouterCore> core() const noexcept { return core_; }

private:
    void add(std::string_view method, std::string_view path, Handler handler);

    std::shared_ptr<detail::RouterCore> core_;
};

}  // namespace knit::http
