/// H2Callbacks: from nghttp2 to the H2Session and its H2Streams.
#pragma once

#include <nghttp2/nghttp2.h>

#include "session.hpp"

namespace knit::http::detail {

struct H2Callbacks {
    static H2SessionPtr make_server(H2Session& session);
    static H2SessionPtr make_client(H2Session& session);
    /// Where the bytes of a message come from: its H2Stream.
    static nghttp2_data_provider data_provider() noexcept;

private:
    static H2SessionPtr make(H2Session& session, decltype(nghttp2_session_server_new2)* make_session);
    static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept;
    static int header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name, std::size_t name_size,
                      const std::uint8_t* value, std::size_t value_size, std::uint8_t, void* self) noexcept;
    static int invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                              const std::uint8_t*, std::size_t, std::uint8_t, void*) noexcept;
    static int frame_received(nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept;
    static int data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes, std::size_t size,
                    void* self) noexcept;
    static int before_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept;
    static int frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* self) noexcept;
    static int frame_not_sent(nghttp2_session*, const nghttp2_frame* frame, int reason, void* self) noexcept;
    static int stream_closed(nghttp2_session*, std::int32_t id, std::uint32_t error_code, void* self) noexcept;
    static ssize_t read(nghttp2_session* session, std::int32_t id, std::uint8_t* room, std::size_t size,
                        std::uint32_t* flags, nghttp2_data_source*, void*) noexcept;
};

}  // namespace knit::http::detail
