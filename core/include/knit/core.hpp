/// Everything of knit but io.
#pragma once

#include "knit/as_result.hpp"
#include "knit/coro.hpp"
#include "knit/error.hpp"
#include "knit/future.hpp"
#include "knit/gather.hpp"
#include "knit/log.hpp"
#include "knit/loop.hpp"
#include "knit/options.hpp"
#include "knit/queue.hpp"
#include "knit/result.hpp"
#include "knit/runtime.hpp"
#include "knit/sleep.hpp"
#include "knit/task.hpp"
#include "knit/time.hpp"
#include "knit/to_thread.hpp"
