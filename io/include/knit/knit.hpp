/// knit: asyncio for C++ on every core. Everything at once.
#pragma once

#include "knit/core.hpp"
#include "knit/io/io.hpp"
