from dockfra_status.cli import main

raise SystemExit(main())
