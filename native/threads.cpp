#include "threads.hpp"

#if defined(LENET_ONE_THREAD)

namespace lenet {

struct ThreadPool::Shared {};

ThreadPool::ThreadPool(int) : threads(1) {}

ThreadPool::~ThreadPool() = default;

void ThreadPool::run(int count, const std::function<void(int, int)>& task,
                     const std::function<void()>&) {
    for (int i = 0; i < count; ++i) task(i, 0);
}

}  // namespace lenet

#else

#if defined(_WIN32)
#include <process.h>
#else
#include <unistd.h>
#endif

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace lenet {

namespace {

// A few tens of microseconds: the next job of a training comes sooner, and a thread that waited
// in vain then sleeps and leaves its processor to others.
constexpr int turns_before_sleep = 2000;

int this_process() {
#if defined(_WIN32)
    return _getpid();
#else
    return getpid();
#endif
}

inline void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

}  // namespace

struct ThreadPool::Shared {
    // Upper half: which job; lower half: how many of its tasks nobody has taken yet. One number,
    // so that a thread that comes late cannot take a task of the next job for one of this.
    std::atomic<std::uint64_t> ticket{0};
    std::atomic<int> unfinished{0};
    int count = 0;  // this and the task may change only when no task is unfinished
    const std::function<void(int, int)>* task = nullptr;

    std::mutex mutex;  // for sleeping alone
    std::condition_variable more, finished;
    bool closing = false;
    std::vector<std::thread> workers;

    static int left(std::uint64_t ticket) { return static_cast<int>(ticket & 0xffffffff); }

    // Take tasks and do them until none is left.
    void work(int worker) {
        std::uint64_t seen = ticket.load();
        while (left(seen) > 0) {
            if (!ticket.compare_exchange_weak(seen, seen - 1)) continue;
            (*task)(count - left(seen), worker);
            if (unfinished.fetch_sub(1) == 1) {
                std::lock_guard lock(mutex);
                finished.notify_one();
            }
            seen = ticket.load();
        }
    }

    void live(int worker) {
        for (;;) {
            for (int turn = 0; turn < turns_before_sleep && left(ticket.load()) == 0; ++turn)
                pause();
            if (left(ticket.load()) == 0) {
                std::unique_lock lock(mutex);
                more.wait(lock, [&] { return closing || left(ticket.load()) > 0; });
                if (closing) return;
            }
            work(worker);
        }
    }
};

ThreadPool::ThreadPool(int threads) : threads(threads) {}

ThreadPool::~ThreadPool() {
    if (!shared_) return;
    if (process_ != this_process()) {
        shared_.release();  // its threads are not here to be joined
        return;
    }
    {
        std::lock_guard lock(shared_->mutex);
        shared_->closing = true;
    }
    shared_->more.notify_all();
    for (std::thread& worker : shared_->workers) worker.join();
}

void ThreadPool::start() {
    if (shared_ && process_ == this_process()) return;
    shared_.release();
    shared_ = std::make_unique<Shared>();
    process_ = this_process();
    for (int worker = 1; worker < threads; ++worker)
        shared_->workers.emplace_back([shared = shared_.get(), worker] { shared->live(worker); });
}

void ThreadPool::run(int count, const std::function<void(int, int)>& task,
                     const std::function<void()>& poll) {
    if (threads == 1 || count <= 1) {
        for (int i = 0; i < count; ++i) task(i, 0);
        return;
    }
    start();
    Shared& shared = *shared_;
    shared.task = &task;
    shared.count = count;
    shared.unfinished.store(count);
    const std::uint64_t job = (shared.ticket.load() >> 32) + 1;
    shared.ticket.store(job << 32 | static_cast<std::uint64_t>(count));
    { std::lock_guard lock(shared.mutex); }  // a thread that is about to sleep has seen the ticket
    shared.more.notify_all();
    shared.work(0);
    for (int turn = 0; turn < turns_before_sleep && shared.unfinished.load() > 0; ++turn) pause();
    std::unique_lock lock(shared.mutex);
    while (!shared.finished.wait_for(lock, std::chrono::milliseconds(20),
                                     [&] { return shared.unfinished.load() == 0; })) {
        lock.unlock();
        poll();
        lock.lock();
    }
}

}  // namespace lenet

#endif
