#include "session_cache.hpp"

#include <algorithm>
#include <mutex>
#include <utility>

namespace knit::detail {

void TlsSessionCache::keep(const std::string& peer, SessionRef session) {
    const std::lock_guard guard(mutex_);
    if (!peers_.contains(peer)) {
        if (peers_.size() == kPeersMax) {
            peers_.erase(order_.front());
            order_.pop_front();
        }
        order_.push_back(peer);
    }
    Sessions& sessions = peers_[peer];
    sessions.push_back(std::move(session));
    if (sessions.size() > kForEach) {
        sessions.pop_front();
    }
}

SessionRef TlsSessionCache::take(const std::string& peer) {
    const std::lock_guard guard(mutex_);
    const auto found = peers_.find(peer);
    if (found == peers_.end()) {
        return nullptr;
    }
    Sessions& sessions = found->second;
    if (SSL_SESSION_get_protocol_version(sessions.back().get()) < TLS1_3_VERSION) {
        SSL_SESSION_up_ref(sessions.back().get());
        return SessionRef(sessions.back().get());
    }
    SessionRef session = std::move(sessions.back());
    sessions.pop_back();
    if (sessions.empty()) {
        peers_.erase(found);
        order_.erase(std::find(order_.begin(), order_.end(), peer));
    }
    return session;
}

}  // namespace knit::detail
