// EXPECT: Response::text() keeps a string
#include <knit/http.hpp>
#include <string>

knit::http::Response answer(int number) {
#ifdef KNIT_CONTROL
    static const std::string kept = std::to_string(number);
    static_cast<void>(knit::http::Response::literal(kept));
    return knit::http::Response::literal("text");
#else
    return knit::http::Response::literal(std::to_string(number));
#endif
}
