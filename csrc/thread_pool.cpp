#include "thread_pool.h"

#include "torch_team.h"

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#define DOWNSLOPE_HAS_FORK 1
#endif

namespace downslope {
namespace {

class Pool {
 public:
  explicit Pool(int workers) : wanted_(workers) {
    threads_.reserve(workers);
    try {
      for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { serve(); });
    } catch (const std::system_error&) {
      // The system gives no more threads: those there are, the caller at least, take the shares of the others.
    }
  }

  ~Pool() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  int wanted() const { return wanted_; }

  void run(int shares, const std::function<void(int)>& work) {
    std::uint64_t round;
    {
      const std::lock_guard lock(mutex_);
      work_ = &work;
      shares_ = shares;
      next_ = 0;
      unfinished_ = shares;
      std::fegetenv(&environment_);
      round = ++round_;
    }
    wake_.notify_all();
    take_shares(round);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return unfinished_ == 0; });
    work_ = nullptr;
  }

 private:
  void serve() {
    std::uint64_t seen = 0;
    for (;;) {
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return stopping_ || (round_ != seen && work_ != nullptr); });
        if (stopping_) return;
        seen = round_;
        // as the caller computes: a thread keeps the rounding and the treatment of subnormals it was started with
        std::fesetenv(&environment_);
      }
      take_shares(seen);
    }
  }

  // Takes shares of this round and of no other: the next one may begin meanwhile, and has an environment of its own.
  void take_shares(std::uint64_t round) {
    for (;;) {
      const std::function<void(int)>* work;
      int share;
      {
        const std::lock_guard lock(mutex_);
        if (round_ != round || work_ == nullptr || next_ >= shares_) return;
        work = work_;
        share = next_++;
      }
      (*work)(share);
      const std::lock_guard lock(mutex_);
      if (--unfinished_ == 0) done_.notify_one();
    }
  }

  const int wanted_;
  std::fenv_t environment_{};
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  const std::function<void(int)>* work_ = nullptr;
  int shares_ = 0, next_ = 0, unfinished_ = 0;
  std::uint64_t round_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

// A parallel region on torch's threads. Each of them computes as the caller does, and afterwards as it did before.
struct Region {
  const std::function<void(int)>& work;
  const int shares;
  std::fenv_t environment{};
  std::atomic<int> next{0};

  static void take_shares(void* context) {
    Region& region = *static_cast<Region*>(context);
    std::fenv_t own;
    std::fegetenv(&own);
    std::fesetenv(&region.environment);
    for (int share; (share = region.next.fetch_add(1)) < region.shares;) region.work(share);
    std::fesetenv(&own);
  }
};

std::mutex busy;  // one parallel region at a time; callers that find it busy work alone
Pool* pool = nullptr;
std::atomic<int> threads{1};
constexpr int most_threads = 1024;
// For a while after each of torch's own operations its threads spin on their processors, waiting for the next; ours, woken
// then, would have to share the processors with them. So where torch is loaded, its threads do our work.
std::atomic<bool> borrows{false};

#ifdef DOWNSLOPE_HAS_FORK
// A forked child has none of the parent's threads: it forgets the pool (which cannot be destroyed without them) and
// starts its own at first use. The lock is held across the fork so that the child finds it free. An OpenMP runtime does
// not forget its threads, and would wait for them for ever: a child borrows none.
bool is_child = false;
void before_fork() { busy.lock(); }
void after_fork_in_parent() { busy.unlock(); }
void after_fork_in_child() {
  pool = nullptr;
  is_child = true;
  busy.unlock();
}
const int registered = pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
#else
constexpr bool is_child = false;
#endif

}  // namespace

int thread_count() { return threads.load(); }
void set_thread_count(int count, bool of_torch) {
  threads.store(std::clamp(count, 1, most_threads));
  borrows.store(of_torch);
}

void run_parallel(int shares, const std::function<void(int)>& work) {
  const int wanted = thread_count();
  std::unique_lock lock(busy, std::defer_lock);
  if (wanted == 1 || shares == 1 || !lock.try_lock()) {
    for (int share = 0; share < shares; ++share) work(share);
    return;
  }
  if (borrows && !is_child) {
    Region region{work, shares};
    std::fegetenv(&region.environment);
    if (run_on_torch_team(wanted, &Region::take_shares, &region)) return;
  }
  if (pool == nullptr || pool->wanted() != wanted - 1) {
    delete pool;
    pool = new Pool(wanted - 1);
  }
  pool->run(shares, work);
}

}  // namespace downslope
