#include "knit/io/endpoint.hpp"

#include <gtest/gtest.h>

#include <string>

#include "knit/error.hpp"

namespace {

using knit::io::Endpoint;
using knit::io::endpoint;

std::string error_of(std::string_view text) {
    try {
        const Endpoint parsed(text);
        return "parsed as " + parsed.to_string();
    } catch (const knit::ValueError& error) {
        return error.what();
    }
}

TEST(Endpoint, TakesHostAndPortFromText) {
    const Endpoint parsed = endpoint("127.0.0.1:8080");
    EXPECT_EQ("127.0.0.1", parsed.host());
    EXPECT_EQ(8080, parsed.port());
    EXPECT_EQ("127.0.0.1:8080", parsed.to_string());
}

TEST(Endpoint, TakesAnIpv6AddressInBrackets) {
    const Endpoint parsed = "[::1]:8080";
    EXPECT_EQ("::1", parsed.host());
    EXPECT_EQ(8080, parsed.port());
    EXPECT_EQ("[::1]:8080", parsed.to_string());
}

TEST(Endpoint, TakesHostAndPortApart) {
    EXPECT_EQ("[::1]:80", endpoint("::1", 80).to_string());
    EXPECT_EQ("[::1]:80", endpoint("[::1]", 80).to_string());
    EXPECT_EQ(endpoint("example.org:443"), endpoint("example.org", 443));
}

TEST(Endpoint, TakesAnEmptyHost) {
    EXPECT_EQ("", endpoint(":80").host());
    EXPECT_EQ(80, endpoint(":80").port());
}

TEST(Endpoint, TakesTheLargestAndTheSmallestPort) {
    EXPECT_EQ(65535, endpoint("a:65535").port());
    EXPECT_EQ(0, endpoint("a", 0).port());
}

TEST(Endpoint, SaysThatThePortIsMissing) {
    EXPECT_NE(std::string::npos, error_of("127.0.0.1").find("port is missing"));
    EXPECT_NE(std::string::npos, error_of("127.0.0.1:").find("port is missing"));
    EXPECT_NE(std::string::npos, error_of("[::1]").find("port is missing"));
    EXPECT_NE(std::string::npos, error_of("").find("port is missing"));
}

TEST(Endpoint, SaysThatThePortIsNoNumberOrOutOfRange) {
    EXPECT_NE(std::string::npos, error_of("a:http").find("must be a number from 0 to 65535, not 'http'"));
    EXPECT_NE(std::string::npos, error_of("a:-1").find("must be a number"));
    EXPECT_NE(std::string::npos, error_of("a:65536").find("from 0 to 65535, not 65536"));
    EXPECT_NE(std::string::npos, error_of("a:99999999999999999999").find("from 0 to 65535"));
    EXPECT_THROW(endpoint("a", 65536), knit::ValueError);
    EXPECT_THROW(endpoint("a", -1), knit::ValueError);
}

TEST(Endpoint, SaysThatAnIpv6AddressNeedsBrackets) {
    EXPECT_NE(std::string::npos, error_of("::1:8080").find("is written [address]:port"));
}

TEST(Endpoint, RefusesBracketsThatDoNotMatch) {
    EXPECT_NE(std::string::npos, error_of("[::1:80").find("brackets do not match"));
    EXPECT_NE(std::string::npos, error_of("::1]:80").find("is written [address]:port"));
    EXPECT_NE(std::string::npos, error_of("[]:80").find("brackets do not match"));
    EXPECT_NE(std::string::npos, error_of("a b:80").find("a space"));
}

}  // namespace
