"""What a session tells: events, reports, statistics, and the sums behind them."""
