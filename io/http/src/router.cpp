#include "knit/http/router.hpp"

#include <algorithm>

#include "knit/error.hpp"
#include "router_core.hpp"
#include "text.hpp"

namespace knit::http {
namespace detail {
namespace {

constexpr std::string_view kRest = ":.*}";

bool is_name(std::string_view part) noexcept { return part.starts_with('{'); }

/// A handler within a wrapper; a function of its own, so that what it has outlives its coroutine.
Coro<Response> run_wrapped(const std::function<Coro<Response>(Request&, const Handler&)>& wrap, const Handler& inner,
                           Request& request) {
    Coro<Response> running = wrap(request, inner);
    co_return co_await std::move(running);
}

[[noreturn]] void refuse_path(std::string_view path, const char* why) {
    throw ValueError("the route \"" + std::string(path) + "\" " + why);
}

}  // namespace

void RouterCore::Resource::add(std::string_view method, std::string_view path, Handler handler) {
    for (const auto& [known, other] : handlers) {
        if (known == method) {
            refuse_path(path, ("has a handler for " + known + " already").c_str());
        }
    }
    handlers.emplace_back(method, std::move(handler));
}

const Handler* RouterCore::Resource::find(std::string_view method) const noexcept {
    const Handler* get = nullptr;
    const Handler* any = nullptr;
    for (const auto& [known, handler] : handlers) {
        if (known == method) {
            return &handler;
        }
        get = known == "GET" ? &handler : get;
        any = known == "*" ? &handler : any;
    }
    return method == "HEAD" && get != nullptr ? get : any;
}

void RouterCore::Resource::add_allowed(std::string& allowed) const {
    for (const auto& [known, handler] : handlers) {
        allowed.append(allowed.empty() ? "" : ", ").append(known).append(known == "GET" ? ", HEAD" : "");
    }
}

void RouterCore::expect_unfrozen() const {
    if (is_frozen_.load(std::memory_order_relaxed)) {  // relaxed: a flag alone
        throw RuntimeError("the Router serves already: add routes, middleware and log before http::serve()");
    }
}

void RouterCore::set_log(AccessLog wanted) {
    expect_unfrozen();
    log = std::move(wanted);
}

void RouterCore::add(std::string_view method, std::string_view path, Handler handler) {
    expect_unfrozen();
    if (method != "*" && !is_token(method)) {
        throw ValueError("\"" + std::string(method) + "\" is no method: say GET, POST ... or * for all");
    }
    if (!path.starts_with('/')) {
        refuse_path(path, "does not begin with '/'");
    }
    for (auto wrap = wrappers_.rbegin(); wrap != wrappers_.rend(); ++wrap) {
        handler = [wrapper = *wrap, inner = std::move(handler)](Request& request) {
            return run_wrapped(wrapper, inner, request);
        };
    }
    if (path.find('{') == std::string_view::npos) {
        fixed_[std::string(path)].add(method, path, std::move(handler));
        return;
    }
    for (auto& [known, pattern] : patterns_) {
        if (known == path) {
            pattern.resource.add(method, path, std::move(handler));
            return;
        }
    }
    Pattern pattern;
    for (std::string_view rest = path.substr(1);;) {
        const bool is_last = rest.find('/') == std::string_view::npos;
        std::string part(cut(rest, '/'));
        if (pattern.takes_rest) {
            refuse_path(path, "has something behind {name:.*}, which takes all the rest");
        }
        if (is_name(part) && part.ends_with(kRest)) {
            part.erase(part.size() - kRest.size(), kRest.size() - 1);
            pattern.takes_rest = true;
        }
        const bool has_braces = part.find_first_of("{}") != std::string::npos;
        if (has_braces && (!is_name(part) || part.size() < 3 || part.find_first_of("{}:", 1) != part.size() - 1)) {
            refuse_path(path, "is wrongly written: a name is a whole part of the path, as in /users/{id}, or all the "
                              "rest of it, as in /files/{path:.*}");
        }
        pattern.parts.push_back(std::move(part));
        if (is_last) {
            break;
        }
    }
    pattern.resource.add(method, path, std::move(handler));
    patterns_.emplace_back(path, std::move(pattern));
}

void RouterCore::add_wrapper(std::function<Coro<Response>(Request&, const Handler&)> wrap) {
    expect_unfrozen();
    if (!fixed_.empty() || !patterns_.empty()) {
        throw ValueError("a middleware is added before the routes that it is to be around");
    }
    wrappers_.push_back(std::move(wrap));
}

/// The names are set in any case: the next pattern clears them.
bool RouterCore::Pattern::matches(Request& request) const {
    request.params_.clear();
    if (!request.path_.starts_with('/')) {
        return false;  // of CONNECT, or '*'
    }
    std::string_view rest = request.path_.substr(1);
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::string& part = parts[i];
        const bool is_last = i + 1 == parts.size();
        const std::string_view name = std::string_view(part).substr(is_name(part) ? 1 : 0, part.size() - 2);
        if (is_last && takes_rest) {
            request.params_.emplace_back(name, rest);
            return true;
        }
        const bool has_more = rest.find('/') != std::string_view::npos;
        const std::string_view value = cut(rest, '/');
        if (has_more == is_last || (is_name(part) ? value.empty() : value != part)) {
            return false;
        }
        if (is_name(part)) {
            request.params_.emplace_back(name, value);
        }
    }
    return true;
}

RouterCore::Found RouterCore::find(Request& request) const {
    Found found;
    if (const auto fixed = fixed_.find(request.path_); fixed != fixed_.end()) {
        found.handler = fixed->second.find(request.method());
        if (found.handler != nullptr) {
            return found;
        }
        fixed->second.add_allowed(found.allowed);
    }
    for (const auto& [path, pattern] : patterns_) {
        if (pattern.matches(request)) {
            found.handler = pattern.resource.find(request.method());
            if (found.handler != nullptr) {
                return found;
            }
            pattern.resource.add_allowed(found.allowed);
        }
    }
    return found;
}

}  // namespace detail

Router::Router() : core_(std::make_shared<detail::RouterCore>()) {}

void Router::add(std::string_view method, std::string_view path, Handler handler) {
    core_->add(method, path, std::move(handler));
}

Router& Router::middleware(std::function<Coro<Response>(Request&, const Handler&)> wrap) {
    core_->add_wrapper(std::move(wrap));
    return *this;
}

Router& Router::access_log(AccessLog log) {
    core_->set_log(std::move(log));
    return *this;
}

}  // namespace knit::http
