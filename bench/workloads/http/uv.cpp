// HTTP hello on libuv.
#include "support/uv_server.hpp"

int main(int argc, char** argv) { return bench::uv_server_main(argc, argv, "http_uv", "http"); }
