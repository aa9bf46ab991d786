// Primitives that go while tasks wait for them, as the locals of a main do whose other tasks are cancelled after it.

#include "co_test.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

namespace knit::test {
namespace {

/// Destroys it, and leaves nothing in its memory that could pass for one that lives.
struct Spoil {
    template <class P>
    void operator()(P* primitive) const noexcept {
        std::destroy_at(primitive);
        auto* const bytes = reinterpret_cast<volatile unsigned char*>(primitive);
        for (std::size_t index = 0; index < sizeof(P); ++index) {
            bytes[index] = 0xff;
        }
        std::allocator<P>().deallocate(primitive, 1);
    }
};
template <class P>
using Spoiled = std::unique_ptr<P, Spoil>;

template <class P, class... A>
Spoiled<P> make(A&&... arguments) {
    return Spoiled<P>(std::construct_at(std::allocator<P>().allocate(1), std::forward<A>(arguments)...));
}

/// Makes a P, has `wait` wait for it, destroys it, cancels the waiter twice: once on its own, once more at its side.
template <class P, class Wait>
Coro<std::string> destroy_under_a_waiter(Spoiled<P> primitive, Wait wait) {
    Task<> waiter = create_task(wait(*primitive));
    co_await tick(3);
    EXPECT_FALSE(waiter.done());
    primitive.reset();
    co_await tick(2);
    EXPECT_FALSE(waiter.done());
    waiter.cancel();
    waiter.cancel();
    co_return co_await got(waiter);
}

/// The same when the waiter's cancellation is on its way already.
template <class P, class Wait>
Coro<std::string> destroy_after_the_cancellation(Spoiled<P> primitive, Wait wait) {
    Task<> waiter = create_task(wait(*primitive));
    co_await tick(3);
    waiter.cancel();
    primitive.reset();
    waiter.cancel();
    co_return co_await got(waiter);
}

Coro<> wait_for_event(Event& event) { co_await event.wait(); }
Coro<> wait_for_semaphore(Semaphore& semaphore) { co_await semaphore.acquire(); }
Coro<> wait_for_lock(Lock& lock) { co_await lock.acquire(); }
Coro<> wait_for_condition(Condition& condition) {
    co_await condition.acquire();
    co_await condition.wait();
}
Coro<> wait_at_barrier(Barrier& barrier) { co_await barrier.wait(); }
Coro<> get_from_queue(Queue<int>& queue) { co_await queue.get(); }
Coro<> put_into_queue(Queue<int>& queue) {
    co_await queue.put(1);
    co_await queue.put(2);
}
Coro<> join_queue(Queue<int>& queue) {
    co_await queue.put(1);
    co_await queue.join();
}

Spoiled<Lock> held_lock() {
    auto lock = make<Lock>();
    create_task([](Lock& taken) -> Coro<> { co_await taken.acquire(); }(*lock));
    return lock;
}

CO_TEST(Orphan, WaitersOfADestroyedPrimitiveWaitUntilTheyAreCancelled) {
    EXPECT_EQ(co_await destroy_under_a_waiter(make<Event>(), &wait_for_event), "!CancelledError");
    EXPECT_EQ(co_await destroy_under_a_waiter(make<Semaphore>(0), &wait_for_semaphore), "!CancelledError");
    EXPECT_EQ(co_await destroy_under_a_waiter(held_lock(), &wait_for_lock), "!CancelledError");
    EXPECT_EQ(co_await destroy_under_a_waiter(make<Condition>(), &wait_for_condition), "!CancelledError");
    EXPECT_EQ(co_await destroy_under_a_waiter(make<Barrier>(2), &wait_at_barrier), "!CancelledError");
    EXPECT_EQ(co_await destroy_under_a_waiter(make<Queue<int>>(), &get_from_queue), "!CancelledError");
    EXPECT_EQ(co_await destroy_under_a_waiter(make<Queue<int>>(1U), &put_into_queue), "!CancelledError");
    EXPECT_EQ(co_await destroy_under_a_waiter(make<Queue<int>>(), &join_queue), "!CancelledError");
}

CO_TEST(Orphan, ACancellationOnItsWayOutlivesThePrimitive) {
    EXPECT_EQ(co_await destroy_after_the_cancellation(make<Event>(), &wait_for_event), "!CancelledError");
    EXPECT_EQ(co_await destroy_after_the_cancellation(held_lock(), &wait_for_lock), "!CancelledError");
    EXPECT_EQ(co_await destroy_after_the_cancellation(make<Queue<int>>(), &get_from_queue),
              "!CancelledError");
}

TEST(Orphan, TheEndOfARunCancelsWhatWaitsForMainsLocals) {
    Trace log;
    const auto shows = [&](Coro<std::string> outcome) -> Coro<> { log(co_await std::move(outcome)); };
    const auto body = [&]() -> Coro<> {
        Event event;
        Queue<int> queue;
        Lock lock;
        co_await lock.acquire();
        create_task(shows(got(event.wait())));
        create_task(shows(got(queue.get())));
        create_task(shows(got(lock.acquire())));
        co_await tick(3);
    };
    run(body(), on_loops(1));
    EXPECT_TRUE(log.shows({"!CancelledError", "!CancelledError", "!CancelledError"}));
}

}  // namespace
}  // namespace knit::test
