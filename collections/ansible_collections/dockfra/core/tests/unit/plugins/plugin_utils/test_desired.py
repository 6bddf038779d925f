def test_smoke(project):
    platform = project.platform()
    platform.check()
    print(platform.desired("store"))
    print(platform.desired("web"))
