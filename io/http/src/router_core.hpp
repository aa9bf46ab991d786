/// RouterCore: the routes, as the server looks them up.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "knit/detail/base.hpp"
#include "knit/http/router.hpp"

namespace knit::http::detail {

class RouterCore {
public:
    struct Found {
        const Handler* handler = nullptr;
        std::string allowed;  ///< of a path that is there for other methods
    };

    void add(std::string_view method, std::string_view path, Handler handler);
    void set_log(AccessLog wanted);
    /// From here on loops read it without a lock.
    void freeze() const noexcept { is_frozen_.store(true, std::memory_order_relaxed); }  // relaxed: a flag alone
    void add_wrapper(std::function<Coro<Response>(Request&, const Handler&)> wrap);
    /// Sets the request's params.
    Found find(Request& request) const;

    AccessLog log;

private:
    /// The handlers of one path.
    struct Resource {
        std::vector<std::pair<std::string, Handler>> handlers;
        void add(std::string_view method, std::string_view path, Handler handler);
        const Handler* find(std::string_view method) const noexcept;
        void add_allowed(std::string& allowed) const;
    };
    /// One with names in it.
    struct Pattern {
        std::vector<std::string> parts;  ///< "{name}" is kept with its braces
        bool takes_rest = false;         ///< the last part's
        Resource resource;
        bool matches(Request& request) const;
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
    };

    void expect_unfrozen() const;

    std::unordered_map<std::string, Resource, Hash, std::equal_to<>> fixed_;
    std::vector<std::pair<std::string, Pattern>> patterns_;
    std::vector<std::function<Coro<Response>(Request&, const Handler&)>> wrappers_;
    mutable knit::detail::Atomic<bool> is_frozen_{false};  ///< serve() sets it, changes ask; publishes nothing
};

}  // namespace knit::http::detail
