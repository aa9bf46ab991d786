// Files of a folder: what is answered, what is not.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "conditions.hpp"
#include "http_test.hpp"

namespace knit::test {
namespace {

namespace fs = std::filesystem;

/// A folder with a few files, gone at the end.
class Folder {
public:
    Folder() : path_(fs::temp_directory_path() / ("knit_http_" + std::to_string(getpid()))) {
        fs::create_directories(path_ / "site" / "sub");
        write("site/index.html", "<p>index</p>");
        write("site/a b.txt", "0123456789");
        write("site/sub/page.css", "p {}");
        write("site/.hidden", "hidden");
        write("secret.txt", "secret");
        fs::create_symlink("../secret.txt", path_ / "site" / "out.txt");
        fs::create_symlink("a b.txt", path_ / "site" / "in.txt");
        mkfifo((path_ / "site" / "pipe").c_str(), 0600);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    ~Folder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    fs::path site() const { return path_ / "site"; }

private:
    void write(const char* name, std::string_view text) { std::ofstream(path_ / name) << text; }
    fs::path path_;
};

std::string answer_to(std::string request, http::StaticOptions options = {}) {
    const Folder folder;
    std::string answer;
    run_io([&]() -> Coro<> {
        http::Router router;
        router.files("/", folder.site(), options);
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        answer = co_await say(server.local_endpoint(), request);
        server.close();
        co_await server.wait_closed();
    });
    return answer;
}

TEST(StaticFiles, AreSentWithTypeLengthAndValidators) {
    const std::string answer = answer_to(get("/a%20b.txt"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n")) << answer;
    EXPECT_EQ(count_of(answer, "Content-Type: text/plain; charset=utf-8\r\n"), 1);
    EXPECT_EQ(count_of(answer, "Accept-Ranges: bytes\r\n"), 1);
    EXPECT_EQ(count_of(answer, "ETag: \""), 1);
    EXPECT_EQ(count_of(answer, "Last-Modified: "), 1);
    EXPECT_TRUE(answer.ends_with("\r\n\r\n0123456789"));
    EXPECT_EQ(count_of(answer_to(get("/sub/page.css")), "text/css"), 1);
    EXPECT_EQ(count_of(answer_to(get("/")), "<p>index</p>"), 1);
    EXPECT_EQ(count_of(answer_to(get("/in.txt")), "0123456789"), 1);
    const std::string head = answer_to("HEAD /a%20b.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(count_of(head, "Content-Length: 10"), 1);
    EXPECT_TRUE(head.ends_with("\r\n\r\n"));
}

TEST(StaticFiles, NothingLeadsOutOfTheFolder) {
    for (const char* path : {"/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt",
                             "/sub/%2e%2e/%2e%2e/secret.txt", "/out.txt", "//etc/passwd", "/./a", "/a%00b", "/pipe",
                             "/a%20b.txt/", "/nobody", "/..", "/sub/.."}) {
        const std::string answer = answer_to(get(path));
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 404 Not Found")) << path << "\n" << answer;
        EXPECT_EQ(count_of(answer, "secret"), 0) << path;
    }
    http::StaticOptions options;
    options.follows_links_outside = true;
    EXPECT_EQ(count_of(answer_to(get("/out.txt"), options), "secret"), 1);
    EXPECT_TRUE(answer_to(get("//etc/passwd"), options).starts_with("HTTP/1.1 404"));
    EXPECT_TRUE(answer_to(get("//"), options).starts_with("HTTP/1.1 404"));
}

TEST(StaticFiles, FoldersGetTheirSlashAndTheirList) {
    const std::string moved = answer_to(get("/sub"));
    EXPECT_TRUE(moved.starts_with("HTTP/1.1 301")) << moved;
    EXPECT_EQ(count_of(moved, "Location: /sub/\r\n"), 1);
    EXPECT_TRUE(answer_to(get("/sub/")).starts_with("HTTP/1.1 404"));
    http::StaticOptions options;
    options.lists_folders = true;
    EXPECT_EQ(count_of(answer_to(get("/sub/"), options), "<a href=\"./page.css\">page.css</a>"), 1);
}

http::Response limit_descriptors(rlim_t most) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min(most, limit.rlim_max);
    setrlimit(RLIMIT_NOFILE, &limit);
    return http::Response(204);
}

TEST(StaticFiles, WithoutDescriptorsTheAnswerIs503AndTheServerGoesOn) {
    const Folder folder;
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    std::string answer;
    int reports = 0;
    run_io([&]() -> Coro<> {
        get_running_loop().set_exception_handler([&reports](const ExceptionContext&) { ++reports; });
        http::Router router;
        router.get("/.low", [](http::Request&) -> Coro<http::Response> { co_return limit_descriptors(3); });
        router.get("/.high", [&](http::Request&) -> Coro<http::Response> {
            co_return limit_descriptors(before.rlim_cur);
        });
        router.files("/", folder.site());
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        const std::string plain = "GET /a%20b.txt HTTP/1.1\r\nHost: a\r\n\r\n";
        std::string requests = "GET /.low HTTP/1.1\r\nHost: a\r\n\r\n" + plain + plain;
        requests += "GET /.high HTTP/1.1\r\nHost: a\r\n\r\n" + get("/a%20b.txt");
        answer = co_await say(server.local_endpoint(), requests);
        server.close();
        co_await server.wait_closed();
    });
    limit_descriptors(before.rlim_cur);
    EXPECT_EQ(count_of(answer, "HTTP/1.1 503 Service Unavailable\r\n"), 2) << answer;
    EXPECT_EQ(count_of(answer, "HTTP/1.1 200 OK\r\n"), 1) << answer;
    EXPECT_TRUE(answer.ends_with("0123456789"));
    EXPECT_EQ(0, reports);
}

TEST(StaticFiles, RangesAndConditionsAreAnswered) {
    EXPECT_TRUE(answer_to(get("/a%20b.txt", "Range: bytes=2-4\r\n")).ends_with("\r\n\r\n234"));
    const std::string part = answer_to(get("/a%20b.txt", "Range: bytes=-3\r\n"));
    EXPECT_TRUE(part.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n"));
    EXPECT_EQ(count_of(part, "Content-Range: bytes 7-9/10\r\n"), 1);
    const std::string beyond = answer_to(get("/a%20b.txt", "Range: bytes=10-\r\n"));
    EXPECT_TRUE(beyond.starts_with("HTTP/1.1 416"));
    EXPECT_EQ(count_of(beyond, "Content-Range: bytes */10\r\n"), 1);
    const std::string same = answer_to(get("/a%20b.txt", "If-None-Match: *\r\n"));
    EXPECT_TRUE(same.starts_with("HTTP/1.1 304 Not Modified\r\n"));
    EXPECT_EQ(count_of(same, "Content-Length"), 0);
    EXPECT_TRUE(answer_to(get("/a%20b.txt", "If-Match: \"other\"\r\n")).starts_with("HTTP/1.1 412"));
}

TEST(StaticFiles, SeveralRangesComeInOneBody) {
    const std::string answer = answer_to(get("/a%20b.txt", "Range: bytes=0-1, 4-5,, -1\r\n"));
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 206 Partial Content\r\nContent-Length: ")) << answer;
    const std::size_t type = answer.find("Content-Type: multipart/byteranges; boundary=") + 45;
    const std::string boundary = answer.substr(type, answer.find('\r', type) - type);
    const auto part = [&](std::string_view range, std::string_view bytes) {
        return "\r\n--" + boundary + "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes " +
               std::string(range) + "/10\r\n\r\n" + std::string(bytes);
    };
    const std::string body = part("0-1", "01") + part("4-5", "45") + part("9-9", "9") + "\r\n--" + boundary + "--\r\n";
    EXPECT_TRUE(answer.ends_with("\r\n\r\n" + body)) << answer;
    EXPECT_EQ(count_of(answer, "Content-Length: " + std::to_string(body.size()) + "\r\n"), 1) << answer;
    // Who has seen one boundary knows nothing of the next.
    EXPECT_EQ(count_of(answer_to(get("/a%20b.txt", "Range: bytes=0-1, 4-5,, -1\r\n")), boundary), 0);
}

TEST(Conditions, RangesAreReadAsTheyAreMeant) {
    const http::detail::Validators file{"\"tag\"", 784'111'777};
    const auto ranges = [&](std::string text) {
        const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nRange: " + text + "\r\n\r\n";
        http::detail::Head head;
        EXPECT_EQ(http::detail::read_request_head(bytes, head), 200);
        std::string result;
        for (const http::detail::Range& range : http::detail::check_ranges(head.fields, "GET", file, 100)) {
            result += std::to_string(range.status) + " " + std::to_string(range.offset) + "+" +
                      std::to_string(range.count) + ";";
        }
        return result;
    };
    EXPECT_EQ(ranges("bytes=0-9"), "206 0+10;");
    EXPECT_EQ(ranges("Bytes=0-9"), "206 0+10;");
    EXPECT_EQ(ranges("bytes=5-99999999999999999999999"), "206 5+95;");
    EXPECT_EQ(ranges("bytes=-99999999999999999999999"), "206 0+100;");
    EXPECT_EQ(ranges("bytes=99999999999999999999999-"), "416 0+0;");
    EXPECT_EQ(ranges("bytes=90-,0-9"), "206 90+10;206 0+10;");
    EXPECT_EQ(ranges("bytes=0-9,200-300"), "206 0+10;");
    EXPECT_EQ(ranges("bytes=200-300,-0"), "416 0+0;");
    for (const char* const none : {"bytes=", "bytes=,", "bytes=5", "bytes=9-0", "bytes=x-", "lines=0-9", "bytes=0-9,x",
                                   "bytes=0-9,5-14", "bytes=0-,-1"}) {
        EXPECT_EQ(ranges(none), "200 0+100;") << none;
    }
    std::string many = "bytes=0-0";
    for (int i = 1; i < 20; ++i) {
        many += "," + std::to_string(2 * i) + "-" + std::to_string(2 * i);
    }
    EXPECT_EQ(ranges(many), "200 0+100;");
    EXPECT_EQ(ranges(many.substr(0, many.find(",34-34"))), "200 0+100;");
    many.insert(many.find(",32-32"), ",");  // an empty element is none
    EXPECT_EQ(ranges(many), "200 0+100;");
    EXPECT_EQ(count_of(ranges(many.substr(0, many.find(",32-32"))), "206 "), 16);
}

TEST(Conditions, FollowTheirOrder) {
    const http::detail::Validators file{"\"tag\"", 784'111'777};
    const auto status = [&](std::string fields, std::string_view method = "GET") {
        const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
        http::detail::Head head;
        EXPECT_EQ(http::detail::read_request_head(bytes, head), 200);
        return http::detail::check_conditions(head.fields, method, file);
    };
    EXPECT_EQ(status("If-None-Match: \"x\", W/\"tag\"\r\n"), 304);
    EXPECT_EQ(status("If-None-Match: \"x\"\r\nIf-None-Match: \"tag\"\r\n"), 304);
    EXPECT_EQ(status("If-None-Match: \"tag\"\r\n", "PUT"), 412);
    EXPECT_EQ(status("If-None-Match: \"x\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 200);
    EXPECT_EQ(status("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), 304);
    EXPECT_EQ(status("If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n"), 304);
    EXPECT_EQ(status("If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n"), 304);
    EXPECT_EQ(status("If-Modified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), 200);
    EXPECT_EQ(status("If-Modified-Since: nonsense\r\n"), 200);
    EXPECT_EQ(status("If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n"), 412);
    EXPECT_EQ(status("If-Match: W/\"tag\"\r\n"), 412);
    EXPECT_EQ(status("If-Match: \"a\", \"tag\"\r\n"), 200);
}

TEST(MimeTypes, AreKnownByTheEndOfTheName) {
    EXPECT_EQ(http::mime_type_of("a.HTML"), "text/html; charset=utf-8");
    EXPECT_EQ(http::mime_type_of("a.tar.gz"), "application/gzip");
    EXPECT_EQ(http::mime_type_of("README"), "application/octet-stream");
    EXPECT_EQ(http::mime_type_of("a.averylongending"), "application/octet-stream");
}

TEST(AccessLog, HasALineForEachRequestWithNothingInItThatThePeerCouldForge) {
    const fs::path path = fs::temp_directory_path() / ("knit_access_" + std::to_string(getpid()));
    run_io([&]() -> Coro<> {
        http::AccessLog log = co_await http::AccessLog::open(path);
        http::Router router = small_router();
        router.access_log(log);
        http::Server server = co_await http::serve(io::endpoint("127.0.0.1", 0), router);
        co_await say(server.local_endpoint(), "GET /nobody HTTP/1.1\r\nHost: a\r\n\r\n" +
                                                  get("/", "User-Agent: \"x\\ \xff\r\nReferer: http://b/\r\n"));
        // A bad request when the buffer of the one before has been given back.
        io::TcpStream stream = co_await io::TcpStream::connect(server.local_endpoint());
        char buffer[1024];
        for (const char* request : {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\n"}) {
            co_await stream.write(std::string_view(request));
            co_await stream.read_some(buffer);
            co_await sleep(1ms);
        }
        server.close();
        co_await server.wait_closed();
        co_await log.flush();
    });
    std::ifstream file(path);
    std::string first;
    std::string second;
    std::getline(file, first);
    std::getline(file, second);
    std::string third;
    std::string fourth;
    std::getline(file, third);
    std::getline(file, fourth);
    EXPECT_NE(fourth.find("] \"-\" 400 "), std::string::npos) << fourth;
    fs::remove(path);
    EXPECT_TRUE(first.starts_with("127.0.0.1 - - [")) << first;
    EXPECT_NE(first.find("] \"GET /nobody HTTP/1.1\" 404 14 \"-\" \"-\" "), std::string::npos) << first;
    EXPECT_NE(second.find("] \"GET / HTTP/1.1\" 200 14 \"http://b/\" \"\\x22x\\x5c \\xff\" "), std::string::npos)
        << second;
}

}  // namespace
}  // namespace knit::test
