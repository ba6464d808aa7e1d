/// Lists that fetch their pages as they are read.
#pragma once

#include <cstddef>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace podium {

/// Part of a list.
template <class T>
struct Page {
  /// What stands on it.
  std::vector<T> items;
  /// Asks for the next page; empty if this is the last one.
  std::string next_token;
};

/// A list to go through with `for`. Its pages are fetched on the way, anew each time; what a page
/// failed with is thrown there.
template <class T>
class Listing {
 public:
  /// Fetches the page of a token, the first one for an empty token.
  using Fetch = std::function<Page<T>(const std::string& token)>;

  /// A list of what `fetch` answers.
  explicit Listing(Fetch fetch) : fetch_(std::move(fetch)) {}

  /// A place in the list; the end where nothing follows.
  class iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = const T*;
    using reference = const T&;

    iterator() = default;
    explicit iterator(Fetch fetch) : place_(std::make_shared<Place>()) {
      place_->fetch = std::move(fetch);
      turn();
      skip_empty_pages();
    }

    reference operator*() const { return place_->page.items[place_->index]; }
    pointer operator->() const { return &**this; }

    iterator& operator++() {
      ++place_->index;
      skip_empty_pages();
      return *this;
    }
    void operator++(int) { ++*this; }

    bool operator==(const iterator& other) const { return place_ == other.place_; }
    bool operator!=(const iterator& other) const { return !(*this == other); }

   private:
    struct Place {
      Fetch fetch;
      Page<T> page;
      std::size_t index = 0;
    };

    void turn() {
      place_->page = place_->fetch(place_->page.next_token);
      place_->index = 0;
    }

    /// Turns to the next page that has items; at the end of the list this is the end.
    void skip_empty_pages() {
      while (place_->index == place_->page.items.size()) {
        if (place_->page.next_token.empty()) {
          place_ = nullptr;
          return;
        }
        turn();
      }
    }

    std::shared_ptr<Place> place_;
  };

  /// The first item: fetches the first page.
  [[nodiscard]] iterator begin() const { return iterator(fetch_); }
  /// The end of the list.
  [[nodiscard]] iterator end() const { return {}; }

  /// All items.
  [[nodiscard]] std::vector<T> all() const { return {begin(), end()}; }

 private:
  Fetch fetch_;
};

}  // namespace podium
