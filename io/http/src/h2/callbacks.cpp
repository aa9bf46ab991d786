#include "callbacks.hpp"

#include <memory>
#include <new>
#include <span>

namespace knit::http::detail {
namespace {

H2Session& of(void* self) noexcept { return *static_cast<H2Session*>(self); }

H2Stream* stream_of(const nghttp2_frame& frame, nghttp2_session* session) noexcept {
    return static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, frame.hd.stream_id));
}

std::string_view text_of(const std::uint8_t* bytes, std::size_t size) noexcept {
    return {reinterpret_cast<const char*>(bytes), size};
}

bool ends_stream(const nghttp2_frame& frame) noexcept {
    const bool has_flag = frame.hd.type == NGHTTP2_HEADERS || frame.hd.type == NGHTTP2_DATA;
    return has_flag && (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

/// An exception must not pass through nghttp2: memory's, the only one of what is called so, ends the connection.
template <class F>
int guarded(F function) noexcept {
    try {
        return function();
    } catch (const std::bad_alloc&) {
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
}

}  // namespace

int H2Callbacks::begin_headers(nghttp2_session* session, const nghttp2_frame* frame, void* self) noexcept {
    if (frame->hd.type != NGHTTP2_HEADERS) {
        return 0;
    }
    of(self).fields_begun(frame->hd.stream_id);
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        return 0;
    }
    return guarded([&] {
        H2Stream* const stream = of(self).begin_stream(frame->hd.stream_id);
        return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
    });
}

int H2Callbacks::header(nghttp2_session* session, const nghttp2_frame* frame, const std::uint8_t* name,
                        std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                        void*) noexcept {
    H2Stream* const stream = stream_of(*frame, session);
    if (stream == nullptr) {
        return 0;
    }
    return guarded([&] {
        stream->take_field(text_of(name, name_size), text_of(value, value_size));
        return 0;
    });
}

/// A message with such a field is refused as a whole, as HTTP/1.1's is; nghttp2 would leave the field out.
int H2Callbacks::invalid_header(nghttp2_session*, const nghttp2_frame*, const std::uint8_t*, std::size_t,
                                const std::uint8_t*, std::size_t, std::uint8_t, void*) noexcept {
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

int H2Callbacks::frame_received(nghttp2_session* session, const nghttp2_frame* frame, void* self) noexcept {
    of(self).fields_ended();  // none comes between the parts of a block of fields (RFC 9113, 6.10)
    return guarded([&] {
        if (frame->hd.type == NGHTTP2_SETTINGS && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
            of(self).settings_received();
        }
        if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
            of(self).ping_answered();
        }
        if (frame->hd.type == NGHTTP2_RST_STREAM) {
            of(self).stream_reset_for_peer();
        }
        H2Stream* const stream = stream_of(*frame, session);
        if (stream != nullptr && ends_stream(*frame)) {
            stream->take_end();
        }
        if (frame->hd.type == NGHTTP2_HEADERS) {
            stream != nullptr ? stream->end_fields() : of(self).refuse_stream(frame->hd.stream_id);
        }
        return 0;
    });
}

int H2Callbacks::data(nghttp2_session* session, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                      std::size_t size, void*) noexcept {
    // The connection's window is never what a stream waits for: one that is not read would hold up the others.
    nghttp2_session_consume_connection(session, size);
    auto* const stream = static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
    if (stream == nullptr) {
        return nghttp2_session_consume_stream(session, id, size);
    }
    return guarded([&] {
        stream->take_data(text_of(bytes, size));
        return 0;
    });
}

int H2Callbacks::before_frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void*) noexcept {
    H2Stream* const stream = frame->hd.type == NGHTTP2_HEADERS ? stream_of(*frame, session) : nullptr;
    if (stream != nullptr) {
        stream->sent_head();
    }
    return 0;
}

int H2Callbacks::frame_sent(nghttp2_session* session, const nghttp2_frame* frame, void* self) noexcept {
    H2Stream* const stream = ends_stream(*frame) ? stream_of(*frame, session) : nullptr;
    if (stream != nullptr) {
        stream->sent_end();
    }
    // CVE-2025-8671: a peer has many ways to have its requests reset. These codes are nghttp2's, never knit's own.
    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        const std::uint32_t code = frame->rst_stream.error_code;
        if (code == NGHTTP2_PROTOCOL_ERROR || code == NGHTTP2_FLOW_CONTROL_ERROR || code == NGHTTP2_STREAM_CLOSED) {
            of(self).stream_reset_for_peer();
        }
    }
    return 0;
}

/// A head that nghttp2 does not send it drops in silence, and its stream would have no end. Where the head is a request
/// nghttp2 ends the stream itself, which no peer has heard of.
int H2Callbacks::frame_not_sent(nghttp2_session* session, const nghttp2_frame* frame, int, void*) noexcept {
    const bool is_answer = frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat != NGHTTP2_HCAT_REQUEST;
    H2Stream* const stream = is_answer ? stream_of(*frame, session) : nullptr;
    if (stream != nullptr) {
        stream->reset(NGHTTP2_INTERNAL_ERROR);
    }
    return 0;
}

int H2Callbacks::stream_closed(nghttp2_session* session, std::int32_t id, std::uint32_t error_code,
                               void* self) noexcept {
    of(self).fields_dropped(id);
    auto* const stream = static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
    if (stream != nullptr) {
        stream->closed(error_code);
    }
    return 0;
}

ssize_t H2Callbacks::read(nghttp2_session* session, std::int32_t id, std::uint8_t* room, std::size_t size,
                          std::uint32_t* flags, nghttp2_data_source*, void*) noexcept {
    auto* const stream = static_cast<H2Stream*>(nghttp2_session_get_stream_user_data(session, id));
    if (stream == nullptr) {
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    }
    return stream->give_data({room, size}, *flags);
}

nghttp2_data_provider H2Callbacks::data_provider() noexcept {
    nghttp2_data_provider provider{};
    provider.read_callback = &H2Callbacks::read;
    return provider;
}

H2SessionPtr H2Callbacks::make(H2Session& session, decltype(nghttp2_session_server_new2)* make_session) {
    nghttp2_session_callbacks* made = nullptr;
    nghttp2_option* options = nullptr;
    nghttp2_session* handle = nullptr;
    if (nghttp2_session_callbacks_new(&made) == 0 && nghttp2_option_new(&options) == 0) {
        nghttp2_session_callbacks_set_on_begin_headers_callback(made, &H2Callbacks::begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(made, &H2Callbacks::header);
        nghttp2_session_callbacks_set_on_invalid_header_callback(made, &H2Callbacks::invalid_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(made, &H2Callbacks::frame_received);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, &H2Callbacks::data);
        nghttp2_session_callbacks_set_before_frame_send_callback(made, &H2Callbacks::before_frame_sent);
        nghttp2_session_callbacks_set_on_frame_send_callback(made, &H2Callbacks::frame_sent);
        nghttp2_session_callbacks_set_on_frame_not_send_callback(made, &H2Callbacks::frame_not_sent);
        nghttp2_session_callbacks_set_on_stream_close_callback(made, &H2Callbacks::stream_closed);
        // Windows open as bodies are read. Floods of CONTINUATION frames newer versions limit unasked; for the others,
        // take_field() and header_timeout do.
        nghttp2_option_set_no_auto_window_update(options, 1);
        nghttp2_option_set_no_closed_streams(options, 1);
        nghttp2_option_set_max_outbound_ack(options, 256);
        nghttp2_option_set_max_settings(options, 32);
        nghttp2_option_set_max_send_header_block_length(options, H2Fields::kMost);
        static_cast<void>(make_session(&handle, made, &session, options));
    }
    nghttp2_option_del(options);
    nghttp2_session_callbacks_del(made);
    if (handle == nullptr) {
        throw std::bad_alloc();
    }
    return H2SessionPtr(handle);
}

H2SessionPtr H2Callbacks::make_server(H2Session& session) { return make(session, &nghttp2_session_server_new2); }

H2SessionPtr H2Callbacks::make_client(H2Session& session) { return make(session, &nghttp2_session_client_new2); }

}  // namespace knit::http::detail
