// A few threads that share the tasks of one job at a time.
//
// Which thread takes which task is left to chance; results must not depend on it. With
// LENET_ONE_THREAD there is none but the calling one, and nothing is asked of the system.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

namespace lenet {

#if defined(LENET_ONE_THREAD)
struct Mutex {
    void lock() {}
    void unlock() {}
};
#else
using Mutex = std::mutex;
#endif

class ThreadPool {
public:
    explicit ThreadPool(int threads);
    ~ThreadPool();

    // task(i, worker) for every i below count, on the calling thread (worker 0) and the others.
    // A single task runs here, without waking anyone. While it waits, the calling thread calls
    // `poll` about every 20 ms. Tasks must not throw.
    void run(int count, const std::function<void(int, int)>& task,
             const std::function<void()>& poll);

    const int threads;

private:
    struct Shared;  // with the other threads
    void start();

    std::unique_ptr<Shared> shared_;  // made when first needed
    int process_ = 0;                 // that made it: a fork has the memory without the threads
};

}  // namespace lenet
